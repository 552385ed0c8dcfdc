/* geneve-strip: takes the tunnel header of Geneve (RFC 8926) off, so that what is inside can be looked at.
 *
 * A node in C against swath.h alone. It is given IPv4 packets, and sends what was inside on as Ethernet frames. */
#include "swath.h"

#include <stdlib.h>

enum { INNER, OTHER, MALFORMED, BAD_CHECKSUM, CRITICAL_OPTION, CONTROL, NOT_ETHERNET, OTHER_VNI };

static const struct swath_edge EDGES[] = {
    [INNER] = {SWATH_TEXT("inner"), SWATH_TEXT("Ethernet frames that were inside."), SWATH_TEXT("ethernet"), SWATH_REQUIRED},
    [OTHER] = {SWATH_TEXT("other"), SWATH_TEXT("Packets that are not Geneve, and fragments, as they came."), SWATH_TEXT("="), SWATH_EDGE},
    [MALFORMED] = {SWATH_TEXT("malformed"), SWATH_TEXT("The UDP or Geneve header is cut off or of an unknown version: look at who sends it."),
                   SWATH_TEXT(""), SWATH_DROP},
    [BAD_CHECKSUM] = {SWATH_TEXT("bad-checksum"), SWATH_TEXT("The UDP checksum is wrong: the packet was damaged on its way."), SWATH_TEXT(""),
                      SWATH_DROP},
    [CRITICAL_OPTION] = {SWATH_TEXT("critical-option"), SWATH_TEXT("An option that must be understood, and none is: have the sender leave it out."),
                         SWATH_TEXT(""), SWATH_DROP},
    [CONTROL] = {SWATH_TEXT("control"), SWATH_TEXT("A control message for the end of the tunnel, which this is not."), SWATH_TEXT(""), SWATH_DROP},
    [NOT_ETHERNET] = {SWATH_TEXT("not-ethernet"), SWATH_TEXT("What is inside is no Ethernet frame."), SWATH_TEXT(""), SWATH_DROP},
    [OTHER_VNI] = {SWATH_TEXT("other-vni"), SWATH_TEXT("The network is another one than `vni` says."), SWATH_TEXT(""), SWATH_DROP},
};

enum { IP4_HEADER = 20, UDP_HEADER = 8, GENEVE_HEADER = 8, PORT = 6081, UDP = 17, TRANSPARENT_ETHERNET = 0x6558, ANY_VNI = 1 << 24 };

struct strip {
    uint32_t vni;
};

static uint32_t be16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }

/* The ones' complement sum of RFC 1071 over bytes that begin at an even place. */
static uint32_t sum(uint32_t sum, const uint8_t *bytes, uint32_t len) {
    for (; len > 1; bytes += 2, len -= 2)
        sum += be16(bytes);
    if (len == 1)
        sum += (uint32_t)*bytes << 8;
    return sum;
}

static int good_checksum(const uint8_t *ip, const uint8_t *udp, uint32_t len) {
    if (be16(udp + 6) == 0)
        return 1;
    uint32_t total = sum(sum(UDP + len, ip + 12, 8), udp, len);
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return total == 0xffff;
}

static uint16_t strip(struct swath_frame *frame, uint32_t index, uint32_t vni) {
    const uint8_t *ip = swath_data(frame, index);
    uint32_t length = swath_length(frame, index), header = (uint32_t)(ip[0] & 15) * 4;
    if (length < IP4_HEADER || header < IP4_HEADER || header > length || ip[9] != UDP || (be16(ip + 6) & 0x3fff) != 0)
        return OTHER;
    uint32_t total = be16(ip + 2);
    if (total < header || total > length || total - header < UDP_HEADER)
        return OTHER;
    const uint8_t *udp = ip + header;
    if (be16(udp + 2) != PORT)
        return OTHER;
    uint32_t datagram = be16(udp + 4);
    if (datagram > total - header || datagram < UDP_HEADER + GENEVE_HEADER)
        return MALFORMED;
    if (!good_checksum(ip, udp, datagram))
        return BAD_CHECKSUM;
    const uint8_t *geneve = udp + UDP_HEADER;
    uint32_t options = (uint32_t)(geneve[0] & 63) * 4, before = header + UDP_HEADER + GENEVE_HEADER + options;
    if (geneve[0] >> 6 != 0 || UDP_HEADER + GENEVE_HEADER + options > datagram)
        return MALFORMED;
    if (geneve[1] & 0x80)
        return CONTROL;
    if (geneve[1] & 0x40)
        return CRITICAL_OPTION;
    if (be16(geneve + 2) != TRANSPARENT_ETHERNET)
        return NOT_ETHERNET;
    if (vni != ANY_VNI && ((uint32_t)geneve[4] << 16 | be16(geneve + 5)) != vni)
        return OTHER_VNI;
    swath_truncate(frame, index, header + datagram);
    return swath_advance(frame, index, before) ? INNER : MALFORMED;
}

static int32_t process(void *node, struct swath_frame *frame, struct swath_context const *context) {
    const struct strip *self = node;
    (void)context;
    for (uint32_t index = 0; index < frame->len; index++)
        frame->next[index] = strip(frame, index, self->vni);
    frame->decided = 1;
    return SWATH_DONE;
}

static int is_space(uint8_t c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/* Settings are `{}` or `{"vni": NUMBER}`. Returns 0 if they are something else, which has been said. */
static int read_settings(struct swath_bytes json, struct swath_sink const *error, uint32_t *vni) {
    char text[64];
    size_t len = 0, at = 0;
    for (size_t i = 0; i < json.len; i++) {
        if (is_space(json.first[i]))
            continue;
        if (len + 1 >= sizeof text)
            break;
        text[len++] = (char)json.first[i];
    }
    text[len] = 0;
    *vni = ANY_VNI;
    if (strcmp(text, "{}") == 0)
        return 1;
    static const char KEY[] = "{\"vni\":";
    if (strncmp(text, KEY, sizeof KEY - 1) != 0) {
        swath_refuse(error, NULL, "the only setting is `vni`");
        return 0;
    }
    uint32_t number = 0;
    for (at = sizeof KEY - 1; text[at] >= '0' && text[at] <= '9' && number < ANY_VNI; at++)
        number = number * 10 + (uint32_t)(text[at] - '0');
    if (at == sizeof KEY - 1 || strcmp(text + at, "}") != 0 || number >= ANY_VNI) {
        swath_refuse(error, "vni", "a virtual network is a number from 0 to 16777215");
        return 0;
    }
    *vni = number;
    return 1;
}

static int32_t check(struct swath_bytes settings, struct swath_sink const *error) {
    uint32_t vni;
    return read_settings(settings, error, &vni) ? SWATH_DONE : SWATH_FAILED;
}

static void *create(struct swath_bytes settings, struct swath_setup *setup, struct swath_sink const *error) {
    uint32_t vni;
    (void)setup;
    if (!read_settings(settings, error, &vni))
        return NULL;
    struct strip *self = malloc(sizeof *self);
    if (self == NULL)
        swath_refuse(error, NULL, "out of memory");
    else
        self->vni = vni;
    return self;
}

static void schema(struct swath_sink const *sink) {
    static const char TEXT[] = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"vni\":{\"type\":\"integer\",\"minimum\":0,"
                               "\"maximum\":16777215,\"description\":\"The only virtual network whose frames go on; without it, all of them.\"}}}";
    swath_refuse(sink, NULL, TEXT);
}

static struct swath_key key(void) {
    struct swath_key key = {{1, 0}, (size_t)EDGES};
    return key;
}

static const struct swath_node STRIP = {
    .size = sizeof(struct swath_node),
    .info =
        {
            .kind = SWATH_TEXT("geneve-strip"),
            .summary = SWATH_TEXT("Takes the tunnel header of Geneve (RFC 8926) off."),
            .about = SWATH_TEXT("UDP checksums that are not 0 are verified. Fragments go by `other`: put `ip4-reassembly` before it."),
            .input = SWATH_TEXT("ip4"),
            .ownership = SWATH_ANY_WORKER,
        },
    .edges = {EDGES, sizeof EDGES / sizeof *EDGES},
    .key = key,
    .schema = schema,
    .check = check,
    .create = create,
    .process = process,
    .destroy = free,
};

static const struct swath_node *const NODES[] = {&STRIP};

const struct swath_plugin SWATH_PLUGIN = {
    SWATH_PLUGIN_HEADER,
    .name = "geneve-strip",
    .version = "0.1.0",
    .built_with = SWATH_BUILT_WITH,
    .nodes = NODES,
    .node_count = 1,
};
