/* A text that stands in the code. */
#ifdef __cplusplus
#define SWATH_TEXT(text) swath_bytes{(const uint8_t *)(text), sizeof(text) - 1}
#else
#define SWATH_TEXT(text) {(const uint8_t *)(text), sizeof(text) - 1}
#endif

/* The first members of `SWATH_PLUGIN`. */
#define SWATH_PLUGIN_HEADER                                                                                                                  \
    .magic = SWATH_MAGIC, .abi = SWATH_ABI, .minor = SWATH_MINOR, .layout = SWATH_LAYOUT, .size = sizeof(struct swath_plugin), .reserved = 0

/* Says what is wrong, and at which place in the settings (NULL: with them as a whole). */
static inline void swath_refuse(struct swath_sink const *sink, const char *path, const char *text) {
    struct swath_bytes at = {(const uint8_t *)path, path ? strlen(path) : 0};
    struct swath_bytes message = {(const uint8_t *)text, strlen(text)};
    sink->put(sink->to, at, message);
}

/* The length of a packet of a frame, in bytes. */
static inline uint32_t swath_length(struct swath_frame const *frame, uint32_t index) {
    return (uint32_t)(frame->descs[index] & 0xffff);
}

/* The first byte of a packet. As many bytes as it is long are its own; SWATH_WINDOW may be read and written in any case. */
static inline uint8_t *swath_data(struct swath_frame const *frame, uint32_t index) {
    swath_desc desc = frame->descs[index];
    return frame->base + (size_t)(desc >> 32) * SWATH_LINE + (desc >> 16 & 0xffff);
}

/* Takes bytes off the front. 0 if the packet has not as many, or too little would be left behind them: then nothing has changed. */
static inline int swath_advance(struct swath_frame *frame, uint32_t index, uint32_t bytes) {
    swath_desc desc = frame->descs[index];
    uint32_t offset = (uint32_t)(desc >> 16 & 0xffff), length = (uint32_t)(desc & 0xffff);
    if (bytes > length || offset + bytes + SWATH_WINDOW > frame->stride)
        return 0;
    frame->descs[index] = (desc & ~(swath_desc)0xffffffff) | (swath_desc)(offset + bytes) << 16 | (length - bytes);
    return 1;
}

/* Puts room for bytes before the front, which are to be written. 0 if there is none: then nothing has changed. */
static inline int swath_prepend(struct swath_frame *frame, uint32_t index, uint32_t bytes) {
    swath_desc desc = frame->descs[index];
    uint32_t offset = (uint32_t)(desc >> 16 & 0xffff), length = (uint32_t)(desc & 0xffff);
    if (bytes > offset || offset - bytes < SWATH_HEAD || length + bytes > 0xffff)
        return 0;
    frame->descs[index] = (desc & ~(swath_desc)0xffffffff) | (swath_desc)(offset - bytes) << 16 | (length + bytes);
    return 1;
}

/* Cuts a packet off behind as many bytes, if it has more. */
static inline void swath_truncate(struct swath_frame *frame, uint32_t index, uint32_t length) {
    swath_desc desc = frame->descs[index];
    if (length < (desc & 0xffff))
        frame->descs[index] = (desc & ~(swath_desc)0xffff) | length;
}

/* This worker's shard of the table at an index of `swath_setup`, and its shared part; NULL if it is not of this key. */
static inline void *swath_shard(struct swath_context const *context, uint32_t table, struct swath_key key) {
    struct swath_entry const *entry = context->tables + table;
    int is = table < context->table_count && entry->key.id[0] == key.id[0] && entry->key.id[1] == key.id[1] && entry->key.library == key.library;
    return is ? entry->shard : NULL;
}
static inline void const *swath_shared(struct swath_context const *context, uint32_t table, struct swath_key key) {
    return swath_shard(context, table, key) ? context->tables[table].shared : NULL;
}
