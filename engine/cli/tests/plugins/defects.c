/* Nodes in C whose numbers are wrong. KIND says which, DEFECT what it does in a call. */
#include "swath.h"

#include <stdlib.h>

static const struct swath_edge EDGES[] = {
    {SWATH_TEXT("ok"), SWATH_TEXT("Packets."), SWATH_TEXT("="), SWATH_REQUIRED},
    {SWATH_TEXT("kept"), SWATH_TEXT("Packets that it keeps."), SWATH_TEXT(""), SWATH_HELD},
};

static int32_t process(void *node, struct swath_frame *frame, struct swath_context const *context) {
    (void)node, (void)context;
    for (uint32_t index = 0; index < frame->len; index++)
        frame->next[index] = 0;
    frame->decided = 1;
    DEFECT;
    return SWATH_DONE;
}

static void *create(struct swath_bytes settings, struct swath_setup *setup, struct swath_sink const *error) {
    (void)settings, (void)setup, (void)error;
    return malloc(1);
}

static struct swath_key key(void) {
    struct swath_key key = {{1, 0}, (size_t)EDGES};
    return key;
}

static const struct swath_node NODE = {
    .size = sizeof(struct swath_node),
    .info = {.kind = SWATH_TEXT(KIND), .summary = SWATH_TEXT("Has a defect.")},
    .edges = {EDGES, 2},
    .key = key,
    .create = create,
    .process = process,
    .destroy = free,
};
static const struct swath_node *const NODES[] = {&NODE};

const struct swath_plugin SWATH_PLUGIN = {
    SWATH_PLUGIN_HEADER, .name = KIND, .version = "0.1.0", .built_with = SWATH_BUILT_WITH, .nodes = NODES, .node_count = 1,
};
