/* The node of the case `plugin`, as a library in C: it looks at the first byte of each packet, marks it, and counts. */
#include "swath.h"

#include <stdlib.h>

struct mark {
    uint32_t mark;
    uint64_t seen;
};

enum { OK, ODD };

static const struct swath_edge EDGES[] = {
    [OK] = {SWATH_TEXT("ok"), SWATH_TEXT("All others."), SWATH_TEXT("="), SWATH_REQUIRED},
    [ODD] = {SWATH_TEXT("odd"), SWATH_TEXT("Packets that begin with 0xff."), SWATH_TEXT(""), SWATH_DROP},
};

static int32_t process(void *node, struct swath_frame *frame, struct swath_context const *context) {
    struct mark *self = node;
    (void)context;
    for (uint32_t index = 0; index < frame->len; index++) {
        self->seen++;
        frame->lanes[index].adj = self->mark;
        frame->next[index] = swath_data(frame, index)[0] == 0xff ? ODD : OK;
    }
    frame->decided = 1;
    return SWATH_DONE;
}

/* The settings are `{"mark":NUMBER}`, as the benchmark writes them. */
static void *create(struct swath_bytes settings, struct swath_setup *setup, struct swath_sink const *error) {
    static const char BEFORE[] = "{\"mark\":";
    struct mark *self = malloc(sizeof *self);
    (void)setup;
    if (self == NULL || settings.len < sizeof BEFORE || memcmp(settings.first, BEFORE, sizeof BEFORE - 1) != 0) {
        free(self);
        swath_refuse(error, NULL, "the settings are {\"mark\":NUMBER}");
        return NULL;
    }
    self->mark = 0;
    self->seen = 0;
    for (size_t at = sizeof BEFORE - 1; at + 1 < settings.len; at++)
        self->mark = self->mark * 10 + (settings.first[at] - '0');
    return self;
}

static struct swath_key key(void) {
    struct swath_key key = {{1, 0}, (size_t)EDGES};
    return key;
}

static const struct swath_node MARK = {
    .size = sizeof(struct swath_node),
    .info = {.kind = SWATH_TEXT("mark"), .summary = SWATH_TEXT("Marks packets.")},
    .edges = {EDGES, sizeof EDGES / sizeof *EDGES},
    .key = key,
    .create = create,
    .process = process,
    .destroy = free,
};
static const struct swath_node *const NODES[] = {&MARK};

const struct swath_plugin SWATH_PLUGIN = {
    SWATH_PLUGIN_HEADER, .name = "mark", .version = "0.1.0", .built_with = SWATH_BUILT_WITH, .nodes = NODES, .node_count = 1,
};
