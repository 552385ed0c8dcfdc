/* The plugin ABI of Swath 0.1.0, in C. Generated: do not edit. `swath plugin header` writes it.
 *
 * A library exports one `const struct swath_plugin SWATH_PLUGIN`. */
#ifndef SWATH_H
#define SWATH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What `struct swath_plugin` begins with. */
#define SWATH_MAGIC 0x676c706874617773ull
/* The number of this ABI. */
#define SWATH_ABI 1
/* How often it has grown at the ends of its structures. */
#define SWATH_MINOR 0
/* The hash of all structures. */
#define SWATH_LAYOUT 0x3ede7a45240bccdeull
/* An entry has done what it is for. */
#define SWATH_DONE 0
/* An entry has failed, or refuses. */
#define SWATH_FAILED 1
/* A node cannot say what it would do with a packet without doing it. */
#define SWATH_NOT_SIMULATED -1
/* Packets go on to another node; unwired they drop by the name of the edge. */
#define SWATH_EDGE 0
/* As `SWATH_EDGE`, and a graph has to wire it. */
#define SWATH_REQUIRED 1
/* Packets are dropped by this name, unless the graph wires it. */
#define SWATH_DROP 2
/* The node has kept the packet. */
#define SWATH_HELD 3
/* The packet has served its purpose, and is no drop. */
#define SWATH_CONSUMED 4
/* The packet leaves by the interface that its lane names. */
#define SWATH_TRANSMIT 5
/* It does not matter which worker packets are on. */
#define SWATH_ANY_WORKER 0
/* Each packet has an owner. */
#define SWATH_OWNED 1
/* Of `owner`: any worker may have the packet. */
#define SWATH_NO_OWNER 65535
/* Names no interface. */
#define SWATH_NO_INTERFACE 65535
/* Packets of a frame, at most. */
#define SWATH_VECTOR 256
/* Bytes from the start of a packet that may always be read and written. */
#define SWATH_WINDOW 128
/* Bytes at the start of a chunk that are never packet data. */
#define SWATH_HEAD 256
/* Where a packet that is made begins in its chunk. */
#define SWATH_DATA 384
/* Bytes that positions of chunks count in. */
#define SWATH_LINE 64
/* The descriptor in the place of a packet that was kept. */
#define SWATH_NONE 0xffffffffffffffffull
#define SWATH_BUILT_WITH "swath.h 0.1.0"

/* Which bytes are a packet: `position:32 | offset:16 | length:16`, from the highest bits on. The position is that of the chunk, in lines from
 * the base; the offset that of the first byte in its chunk. */
typedef uint64_t swath_desc;

struct swath_bytes;
struct swath_sink;
struct swath_key;
struct swath_texts;
struct swath_slot;
struct swath_slots;
struct swath_placed_slot;
struct swath_edge;
struct swath_edges;
struct swath_node_info;
struct swath_address;
struct swath_interface;
struct swath_interfaces;
struct swath_table_reference;
struct swath_pool;
struct swath_setup;
struct swath_entry;
struct swath_context;
struct swath_lane;
struct swath_outbox;
struct swath_frame;
struct swath_words;
struct swath_node;
struct swath_table_info;
struct swath_table_setup;
struct swath_questions;
struct swath_table;
struct swath_host;
struct swath_plugin;

/* Borrowed bytes: good during the call that they are an argument of, or as long as the library where they are in a table of it. Text is
 * UTF-8. `first` may be null if there are none. */
struct swath_bytes {
    uint8_t const *first;
    size_t len;
};

/* Where a callee leaves what it has to say: `put(to, path, text)`. The path is a place in the settings, as `routes[3].via`, where there is one;
 * the text an error, a schema, an answer, or a piece of state, of which all pieces count in their order. */
struct swath_sink {
    void *to;
    void (*put)(void *, struct swath_bytes, struct swath_bytes);
};

/* Which type of which build of a library something is: what is compared before a pointer is believed. `library` is the address of anything
 * that only this library has. */
struct swath_key {
    uint64_t id[2];
    size_t library;
};

/* A list of texts. */
struct swath_texts {
    struct swath_bytes const *first;
    size_t len;
};

/* A value that nodes leave with a packet in its cold line. */
struct swath_slot {
    struct swath_bytes name;
    /* Bytes of its type. */
    uint16_t bytes;
    /* Alignment of its type. */
    uint16_t align;
};

/* A list of slots. */
struct swath_slots {
    struct swath_slot const *first;
    size_t len;
};

/* A slot with its place in the cold line. */
struct swath_placed_slot {
    struct swath_slot info;
    uint16_t at;
};

/* An edge or drop reason of a kind. */
struct swath_edge {
    /* The key in YAML, the label of metrics, the word in tests. */
    struct swath_bytes name;
    /* What it means; for a drop also what to do. */
    struct swath_bytes doc;
    /* What its packets start with: `ethernet`, `ip4`, `=` for what the node was given, or nothing for anything. */
    struct swath_bytes layer;
    /* What becomes of its packets: one of `SWATH_EDGE`, `SWATH_REQUIRED`, `SWATH_DROP`, `SWATH_HELD`, `SWATH_CONSUMED`, `SWATH_TRANSMIT`. */
    uint8_t class_id;
};

/* Edges by id. */
struct swath_edges {
    struct swath_edge const *first;
    size_t len;
};

/* What a kind of node says of itself. */
struct swath_node_info {
    /* The `kind:` in YAML. */
    struct swath_bytes kind;
    /* One sentence. */
    struct swath_bytes summary;
    /* More, if there is more to say. */
    struct swath_bytes about;
    /* What its packets start with. */
    struct swath_bytes input;
    /* What it remembers, and its successor takes over. */
    struct swath_bytes carries;
    /* A complete graph with it and with tests, in YAML. */
    struct swath_bytes example;
    /* Slots that it expects to be written. */
    struct swath_slots reads;
    /* Slots that it writes in every packet that it sends on. */
    struct swath_slots writes;
    /* Kinds of tables that it refers to. */
    struct swath_texts uses;
    /* Whether it matters which worker its packets are on: `SWATH_ANY_WORKER`, or `SWATH_OWNED`. */
    uint32_t ownership;
    /* 1 if `process` changes nothing but the packets that it is called with: what it would do with one, the engine finds out by having it do
     * that. */
    uint32_t pure;
};

/* An address of an interface with the length of its subnet's prefix. */
struct swath_address {
    /* In network order; of IPv4 the first four. */
    uint8_t octets[16];
    /* 4 or 6. */
    uint8_t version;
    uint8_t prefix_len;
};

/* An interface. */
struct swath_interface {
    /* Its name in the graph; empty where there is none at this index. */
    struct swath_bytes name;
    uint8_t mac[6];
    /* The longest layer 3 packet that it carries, in bytes. */
    uint16_t mtu;
    struct swath_address const *addresses;
    size_t address_count;
};

/* All interfaces of a graph, by index. */
struct swath_interfaces {
    /* Different for each list of a process, so that a library knows one that it has read. */
    uint64_t id;
    struct swath_interface const *first;
    size_t count;
};

/* What a table is to the nodes and tables that are made after it. */
struct swath_table_reference {
    struct swath_bytes name;
    /* Its kind; empty if nobody knows it. */
    struct swath_bytes kind;
    struct swath_key key;
    /* What `create` of its kind has made; null for a table that was refused. */
    void const *shared;
    /* What `retain` and `release` are called with. */
    void const *instance;
    /* Keeps the table alive until it is released. */
    void (*retain)(void const *);
    void (*release)(void const *);
};

/* A counted reference to the pool of packets, for who keeps some. */
struct swath_pool {
    void const *host;
    /* Which pool it is; what the frames and outboxes of its packets say, too. */
    void const *pool;
    /* Chunks of the pool. */
    uint32_t capacity;
    void (*retain)(void const *);
    void (*release)(void const *);
    /* Gives chunks back, by their positions, that were taken out of frames. */
    void (*give_back)(void const *, uint32_t const *, size_t);
};

/* What a node finds when it is made, and its wishes. Good during `create`. */
struct swath_setup {
    /* Bytes of this structure as the engine knows it. */
    uint32_t size;
    /* The worker that the instance is for, from 0. */
    uint32_t worker;
    /* How many workers there are. */
    uint32_t workers;
    /* To be set to 1 by a node of an owned kind whose packets any worker may have. */
    uint32_t any_worker;
    /* Its name in the graph. */
    struct swath_bytes name;
    struct swath_interfaces interfaces;
    struct swath_table_reference const *tables;
    size_t table_count;
    struct swath_placed_slot const *slots;
    size_t slot_count;
    /* The names of the named edges. */
    struct swath_texts edges;
    /* A reference that belongs to the engine: who keeps it retains it. */
    struct swath_pool pool;
    /* To be set to 1 at the index of each table that the node has found. */
    uint8_t *found_tables;
    /* To be set to 1 at the index of each interface that the node has found by name. */
    uint8_t *found_interfaces;
    /* To be set to the interface whose packets the node wants; `SWATH_NO_INTERFACE` if it wants none. */
    uint16_t receive;
    /* To be set to the nanoseconds between calls of `tick`; 0 for none. */
    uint64_t tick_every;
    /* Null for kinds of libraries. */
    void *native;
};

/* A table as one worker sees it. */
struct swath_entry {
    struct swath_key key;
    /* Both are null, and the key that of no type, where nothing is. */
    void const *shared;
    void *shard;
};

/* What a node finds when it is called. */
struct swath_context {
    /* Nanoseconds of the engine's monotonic clock, read once per sweep. */
    uint64_t now;
    /* By the index that the table has in `swath_setup`. */
    struct swath_entry const *tables;
    uint32_t table_count;
};

/* What travels with a packet beside its place. */
struct swath_lane {
    /* The adjacency that a look-up found, or a word that the nodes of a flow agree on. */
    uint32_t adj;
    /* Index of the interface to leave by, or `SWATH_NO_INTERFACE`. */
    uint16_t tx;
    /* Index of the interface that it was received by, or `SWATH_NO_INTERFACE`. */
    uint16_t rx;
};

/* Where packets go that a node makes or releases, with the chunks to make them of. */
struct swath_outbox {
    /* The pool that the packets belong to. */
    void const *pool;
    /* The start of the memory that descriptors count from. */
    uint8_t *base;
    /* Bytes of a chunk. */
    uint32_t stride;
    /* Packets in it. */
    uint32_t len;
    /* Packets that it takes in all. */
    uint32_t room;
    /* Chunks left in `spare`; to be taken from the end, and counted down. */
    uint32_t spares;
    uint32_t const *spare;
    swath_desc *descs;
    struct swath_lane *lanes;
    uint16_t *next;
    /* Packets in it that came into being. */
    uint32_t made;
    /* Packets in it that the node had kept. */
    uint32_t released;
    /* Packets that would have been made, had there been room. */
    uint32_t no_room;
    /* Packets that would have been made, had there been a chunk. */
    uint32_t no_buffer;
};

/* The packets of a call, at most 256. The arrays have `len` entries and 32 more that may be read and written. */
struct swath_frame {
    /* The pool that the packets belong to. */
    void const *pool;
    /* The start of the memory that descriptors count from. */
    uint8_t *base;
    /* Bytes of a chunk: `offset + length` and `offset + SWATH_WINDOW` never exceed it. */
    uint32_t stride;
    uint32_t len;
    swath_desc *descs;
    struct swath_lane *lanes;
    /* Where each packet goes: the id of an edge. */
    uint16_t *next;
    struct swath_outbox *outbox;
    /* To be set to 1 when `next` is written for all packets. */
    uint32_t decided;
    /* To be set to the number of packets that the node has kept; their descriptors are `SWATH_NONE` then. */
    uint32_t taken;
    /* The id that they are counted by, which is of class `SWATH_HELD`. */
    uint16_t taken_id;
};

/* Where a node says a few words about a packet: behind `len` bytes that are there, up to `room`. */
struct swath_words {
    uint8_t *first;
    uint32_t room;
    uint32_t len;
};

/* A kind of node: what its library exports. Entries return `SWATH_DONE`, or else `SWATH_FAILED`, upon which the instance is out of service.
 * Those marked optional may be null. All entries of one instance are called by one thread at a time; `process`, `owner`, `tick` and `adopt` on a
 * worker, where they must not block, allocate or log. */
struct swath_node {
    /* Bytes of this structure as the library knows it. */
    uint32_t size;
    /* The version of what `save` writes and `restore` reads; 0 if there is no state that another build could go on with. */
    uint32_t state_version;
    struct swath_node_info info;
    struct swath_edges edges;
    /* What the edges are like that a graph names; null if it may not. */
    struct swath_edge const *named;
    /* The same for all instances of this build, and for no others. */
    struct swath_key (*key)(void);
    /* Optional: puts the JSON Schema of the settings. */
    void (*schema)(struct swath_sink const *);
    /* Optional: `check(settings, error)`: whether settings, as JSON, have the right form. */
    int32_t (*check)(struct swath_bytes, struct swath_sink const *);
    /* `create(settings, setup, error)`: an instance; or null, with the reason put into `error`. */
    void *(*create)(struct swath_bytes, struct swath_setup *, struct swath_sink const *);
    /* `process(node, frame, context)`: decides for each packet. */
    int32_t (*process)(void *, struct swath_frame *, struct swath_context const *);
    /* Optional unless the kind is owned: `owner(node, frame, context)` puts the worker that owns each packet into `next`, or 65535. */
    int32_t (*owner)(void const *, struct swath_frame *, struct swath_context const *);
    /* Optional: `tick(node, outbox, context)`. */
    int32_t (*tick)(void *, struct swath_outbox *, struct swath_context const *);
    /* Optional: `adopt(node, old)`: takes over the state of an instance of the same key. */
    int32_t (*adopt)(void *, void *);
    /* Optional: `save(node, at, pieces, next)`: puts a piece of the state, from position `at` on, which is 0 at first, and writes where the next one
     * begins; 0 if that was the last. */
    int32_t (*save)(void *, uint64_t, struct swath_sink const *, uint64_t *);
    /* Optional: `restore(node, version, piece, error)`: takes over a piece that `save` of another build has put, whose state version this is. */
    int32_t (*restore)(void *, uint32_t, struct swath_bytes, struct swath_sink const *);
    /* Ends an instance, on a control thread. */
    void (*destroy)(void *);
    /* Optional: `reason(node, frame, decided, context, words)`: why it has decided so for the one packet of a frame, as it leaves; nothing is
     * changed. */
    int32_t (*reason)(void const *, struct swath_frame *, uint16_t, struct swath_context const *, struct swath_words *);
    /* Optional: `simulate(node, frame, context, words)`: what it would decide for the one packet of a frame, which it changes as it would a real
     * one, and nothing else: the id of an edge; `SWATH_NOT_SIMULATED` if it cannot say, and another number below 0 if it failed. */
    int32_t (*simulate)(void *, struct swath_frame *, struct swath_context const *, struct swath_words *);
};

/* What a kind of table says of itself. */
struct swath_table_info {
    /* The `kind:` in YAML. */
    struct swath_bytes kind;
    /* One sentence. */
    struct swath_bytes summary;
    /* More, if there is more to say. */
    struct swath_bytes about;
    /* Kinds of tables that it refers to, which are made before it. */
    struct swath_texts uses;
    /* What it knows beside its settings, and takes over when these change. */
    struct swath_bytes carries;
    /* What it loses when its settings change. */
    struct swath_bytes loses;
    /* Commands and questions that change nothing. */
    struct swath_texts reads;
    /* A complete graph with it and with tests, in YAML. */
    struct swath_bytes example;
    /* 1 if it looks at no interface, neither when it is made nor later. */
    uint32_t ignores_interfaces;
};

/* What a table finds when it is made. Good during `create`. */
struct swath_table_setup {
    /* Bytes of this structure as the engine knows it. */
    uint32_t size;
    /* How many workers there are. */
    uint32_t workers;
    /* How many tables of its kind the graph has, itself included. */
    uint32_t siblings;
    /* 0 if it is made only to see whether it can be made; 1 if it is made to be used, and 2 if by a virtual clock: then it does nothing that anybody
     * outside of the engine would notice. */
    uint32_t in_use;
    /* Its name. */
    struct swath_bytes name;
    /* Its kind. */
    struct swath_bytes kind;
    struct swath_interfaces interfaces;
    /* Those that it may refer to. */
    struct swath_table_reference const *tables;
    size_t table_count;
    /* To be set to 1 at the index of each table that it refers to. */
    uint8_t *used;
    /* The table whose place it will take; `shared` is null if there is none of its key. */
    struct swath_table_reference old;
    /* What the functions below are called with. */
    void *to;
    /* `serves(to, path, interfaces, count, by_address)`: it serves these interfaces, which the setting at `path` names; with `by_address` 1
     * it lives on their addresses. */
    void (*serves)(void *, struct swath_bytes, uint16_t const *, size_t, uint32_t);
    /* `warn(to, path, message)`: something in the settings is allowed and hardly meant. */
    void (*warn)(void *, struct swath_bytes, struct swath_bytes);
};

/* A question to the shards of a table. `visit` is called by the worker of the shard, the others by a control thread. */
struct swath_questions {
    /* Bytes of this structure as the library knows it. */
    uint32_t size;
    /* `read(question, error)`: a question for one shard; or null. */
    void *(*read)(struct swath_bytes, struct swath_sink const *);
    /* `visit(table, shard, question)`: looks at up to 256 entries. */
    int32_t (*visit)(void const *, void *, void *);
    /* `collect(question)`: keeps what the last visit has found. 1 if that was the last, 0 if there is more, -1 if it failed. */
    int32_t (*collect)(void *);
    /* `answer(table, questions, count, reply, error)`. */
    int32_t (*answer)(void const *, void *const *, size_t, struct swath_sink const *, struct swath_sink const *);
    /* Ends a question. */
    void (*destroy)(void *);
};

/* A kind of table: what its library exports. The shared part is called by several threads at once; a shard by one at a time. Entries that return a number
 * return `SWATH_DONE` or `SWATH_FAILED`. `sync`, `adopt` and `rest` are called on workers, all others on control threads. */
struct swath_table {
    /* Bytes of this structure as the library knows it. */
    uint32_t size;
    /* The version of what `save` writes and `restore` reads; 0 if there is no state that another build could go on with. */
    uint32_t state_version;
    struct swath_table_info info;
    /* The same for all tables of this build, and for no others. */
    struct swath_key (*key)(void);
    /* Optional: puts the JSON Schema of the settings. */
    void (*schema)(struct swath_sink const *);
    /* Optional: `check(settings, error)`: whether settings, as JSON, have the right form. */
    int32_t (*check)(struct swath_bytes, struct swath_sink const *);
    /* `create(settings, setup, error)`: the shared part; or null, with the reason put into `error`. */
    void *(*create)(struct swath_bytes, struct swath_table_setup *, struct swath_sink const *);
    /* `shard(table, worker, error)`: the part of one worker; or null. */
    void *(*shard)(void const *, uint32_t, struct swath_sink const *);
    /* Optional: `sync(table, shard)`: at the top of each sweep. */
    int32_t (*sync)(void const *, void *);
    /* Optional: `succeed(table, old)`: it takes the place of a table of the same key. */
    int32_t (*succeed)(void const *, void const *);
    /* Optional: `adopt(table, shard, old)`: a shard takes over the state of one of a table of the same key. */
    int32_t (*adopt)(void const *, void *, void *);
    /* Optional: `rest(table, shard)`: the worker does not look at it until the next `sync`. */
    int32_t (*rest)(void const *, void *);
    /* Optional: `link(table, interface, up)`. */
    int32_t (*link)(void const *, uint16_t, uint32_t);
    /* `command(table, command, reply, error)`: JSON in, JSON out. */
    int32_t (*command)(void const *, struct swath_bytes, struct swath_sink const *, struct swath_sink const *);
    /* Optional: puts what there is to see of it in numbers, as a JSON list of `{name, help, total, of, value}`. */
    void (*figures)(void const *, struct swath_sink const *);
    /* Optional: puts the file that what it knows is kept in while no engine runs. */
    void (*state_file)(void const *, struct swath_sink const *);
    /* Optional: `records(table, max, sink)`: puts what it has to tell for good, as JSON. */
    void (*records)(void const *, size_t, struct swath_sink const *);
    /* Optional: `save(table, shard, at, pieces, next)`: puts a piece of the state of a shard, from position `at` on, which is 0 at first, and writes
     * where the next one begins; 0 if that was the last. With no shard, of the state that all share. */
    int32_t (*save)(void const *, void *, uint64_t, struct swath_sink const *, uint64_t *);
    /* Optional: `restore(table, shard, version, piece, error)`: takes over a piece that `save` of another build has put, whose state version this is. */
    int32_t (*restore)(void const *, void *, uint32_t, struct swath_bytes, struct swath_sink const *);
    /* Ends a shard, on a control thread, before its table. */
    void (*destroy_shard)(void *);
    /* Ends the shared part, on a control thread. */
    void (*destroy)(void *);
    /* Null if the kind answers no questions to its shards. */
    struct swath_questions const *questions;
};

/* What a library may call at any time, from any thread. */
struct swath_host {
    /* Bytes of this structure as the engine knows it. */
    uint32_t size;
    /* How often the engine's ABI has grown. */
    uint32_t minor;
    /* The first argument of all calls. */
    void const *to;
    /* `log(to, level, text)`: 1 for an error, 2 for a warning, 3 for information. Not to be called by `process`. */
    void (*log)(void const *, uint32_t, struct swath_bytes);
};

/* What a library exports as `SWATH_PLUGIN`. The part up to `built_with` is the same in all versions. */
struct swath_plugin {
    /* `SWATH_MAGIC`. */
    uint64_t magic;
    /* `SWATH_ABI`. */
    uint32_t abi;
    /* `SWATH_MINOR`. */
    uint32_t minor;
    /* `SWATH_LAYOUT`. */
    uint64_t layout;
    /* Bytes of this structure as the library knows it. */
    uint32_t size;
    /* 0. */
    uint32_t reserved;
    /* Name of the library: text, and zeros behind it. */
    uint8_t name[64];
    /* Its version. */
    uint8_t version[32];
    /* What it was built with: `swath-api 0.1.0`, or `swath.h 0.1.0`. */
    uint8_t built_with[32];
    struct swath_node const *const *nodes;
    size_t node_count;
    struct swath_table const *const *tables;
    size_t table_count;
    /* Optional: called once, before anything else. What it is given stays for ever. */
    int32_t (*start)(struct swath_host const *);
};

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

/* The structures are what the engine was compiled with. */
#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
_Static_assert(sizeof(struct swath_bytes) == 16, "swath_bytes");
_Static_assert(offsetof(struct swath_bytes, first) == 0, "swath_bytes.first");
_Static_assert(offsetof(struct swath_bytes, len) == 8, "swath_bytes.len");
_Static_assert(sizeof(struct swath_sink) == 16, "swath_sink");
_Static_assert(offsetof(struct swath_sink, to) == 0, "swath_sink.to");
_Static_assert(offsetof(struct swath_sink, put) == 8, "swath_sink.put");
_Static_assert(sizeof(struct swath_key) == 24, "swath_key");
_Static_assert(offsetof(struct swath_key, id) == 0, "swath_key.id");
_Static_assert(offsetof(struct swath_key, library) == 16, "swath_key.library");
_Static_assert(sizeof(struct swath_texts) == 16, "swath_texts");
_Static_assert(offsetof(struct swath_texts, first) == 0, "swath_texts.first");
_Static_assert(offsetof(struct swath_texts, len) == 8, "swath_texts.len");
_Static_assert(sizeof(struct swath_slot) == 24, "swath_slot");
_Static_assert(offsetof(struct swath_slot, name) == 0, "swath_slot.name");
_Static_assert(offsetof(struct swath_slot, bytes) == 16, "swath_slot.bytes");
_Static_assert(offsetof(struct swath_slot, align) == 18, "swath_slot.align");
_Static_assert(sizeof(struct swath_slots) == 16, "swath_slots");
_Static_assert(offsetof(struct swath_slots, first) == 0, "swath_slots.first");
_Static_assert(offsetof(struct swath_slots, len) == 8, "swath_slots.len");
_Static_assert(sizeof(struct swath_placed_slot) == 32, "swath_placed_slot");
_Static_assert(offsetof(struct swath_placed_slot, info) == 0, "swath_placed_slot.info");
_Static_assert(offsetof(struct swath_placed_slot, at) == 24, "swath_placed_slot.at");
_Static_assert(sizeof(struct swath_edge) == 56, "swath_edge");
_Static_assert(offsetof(struct swath_edge, name) == 0, "swath_edge.name");
_Static_assert(offsetof(struct swath_edge, doc) == 16, "swath_edge.doc");
_Static_assert(offsetof(struct swath_edge, layer) == 32, "swath_edge.layer");
_Static_assert(offsetof(struct swath_edge, class_id) == 48, "swath_edge.class_id");
_Static_assert(sizeof(struct swath_edges) == 16, "swath_edges");
_Static_assert(offsetof(struct swath_edges, first) == 0, "swath_edges.first");
_Static_assert(offsetof(struct swath_edges, len) == 8, "swath_edges.len");
_Static_assert(sizeof(struct swath_node_info) == 152, "swath_node_info");
_Static_assert(offsetof(struct swath_node_info, kind) == 0, "swath_node_info.kind");
_Static_assert(offsetof(struct swath_node_info, summary) == 16, "swath_node_info.summary");
_Static_assert(offsetof(struct swath_node_info, about) == 32, "swath_node_info.about");
_Static_assert(offsetof(struct swath_node_info, input) == 48, "swath_node_info.input");
_Static_assert(offsetof(struct swath_node_info, carries) == 64, "swath_node_info.carries");
_Static_assert(offsetof(struct swath_node_info, example) == 80, "swath_node_info.example");
_Static_assert(offsetof(struct swath_node_info, reads) == 96, "swath_node_info.reads");
_Static_assert(offsetof(struct swath_node_info, writes) == 112, "swath_node_info.writes");
_Static_assert(offsetof(struct swath_node_info, uses) == 128, "swath_node_info.uses");
_Static_assert(offsetof(struct swath_node_info, ownership) == 144, "swath_node_info.ownership");
_Static_assert(offsetof(struct swath_node_info, pure) == 148, "swath_node_info.pure");
_Static_assert(sizeof(struct swath_address) == 18, "swath_address");
_Static_assert(offsetof(struct swath_address, octets) == 0, "swath_address.octets");
_Static_assert(offsetof(struct swath_address, version) == 16, "swath_address.version");
_Static_assert(offsetof(struct swath_address, prefix_len) == 17, "swath_address.prefix_len");
_Static_assert(sizeof(struct swath_interface) == 40, "swath_interface");
_Static_assert(offsetof(struct swath_interface, name) == 0, "swath_interface.name");
_Static_assert(offsetof(struct swath_interface, mac) == 16, "swath_interface.mac");
_Static_assert(offsetof(struct swath_interface, mtu) == 22, "swath_interface.mtu");
_Static_assert(offsetof(struct swath_interface, addresses) == 24, "swath_interface.addresses");
_Static_assert(offsetof(struct swath_interface, address_count) == 32, "swath_interface.address_count");
_Static_assert(sizeof(struct swath_interfaces) == 24, "swath_interfaces");
_Static_assert(offsetof(struct swath_interfaces, id) == 0, "swath_interfaces.id");
_Static_assert(offsetof(struct swath_interfaces, first) == 8, "swath_interfaces.first");
_Static_assert(offsetof(struct swath_interfaces, count) == 16, "swath_interfaces.count");
_Static_assert(sizeof(struct swath_table_reference) == 88, "swath_table_reference");
_Static_assert(offsetof(struct swath_table_reference, name) == 0, "swath_table_reference.name");
_Static_assert(offsetof(struct swath_table_reference, kind) == 16, "swath_table_reference.kind");
_Static_assert(offsetof(struct swath_table_reference, key) == 32, "swath_table_reference.key");
_Static_assert(offsetof(struct swath_table_reference, shared) == 56, "swath_table_reference.shared");
_Static_assert(offsetof(struct swath_table_reference, instance) == 64, "swath_table_reference.instance");
_Static_assert(offsetof(struct swath_table_reference, retain) == 72, "swath_table_reference.retain");
_Static_assert(offsetof(struct swath_table_reference, release) == 80, "swath_table_reference.release");
_Static_assert(sizeof(struct swath_pool) == 48, "swath_pool");
_Static_assert(offsetof(struct swath_pool, host) == 0, "swath_pool.host");
_Static_assert(offsetof(struct swath_pool, pool) == 8, "swath_pool.pool");
_Static_assert(offsetof(struct swath_pool, capacity) == 16, "swath_pool.capacity");
_Static_assert(offsetof(struct swath_pool, retain) == 24, "swath_pool.retain");
_Static_assert(offsetof(struct swath_pool, release) == 32, "swath_pool.release");
_Static_assert(offsetof(struct swath_pool, give_back) == 40, "swath_pool.give_back");
_Static_assert(sizeof(struct swath_setup) == 192, "swath_setup");
_Static_assert(offsetof(struct swath_setup, size) == 0, "swath_setup.size");
_Static_assert(offsetof(struct swath_setup, worker) == 4, "swath_setup.worker");
_Static_assert(offsetof(struct swath_setup, workers) == 8, "swath_setup.workers");
_Static_assert(offsetof(struct swath_setup, any_worker) == 12, "swath_setup.any_worker");
_Static_assert(offsetof(struct swath_setup, name) == 16, "swath_setup.name");
_Static_assert(offsetof(struct swath_setup, interfaces) == 32, "swath_setup.interfaces");
_Static_assert(offsetof(struct swath_setup, tables) == 56, "swath_setup.tables");
_Static_assert(offsetof(struct swath_setup, table_count) == 64, "swath_setup.table_count");
_Static_assert(offsetof(struct swath_setup, slots) == 72, "swath_setup.slots");
_Static_assert(offsetof(struct swath_setup, slot_count) == 80, "swath_setup.slot_count");
_Static_assert(offsetof(struct swath_setup, edges) == 88, "swath_setup.edges");
_Static_assert(offsetof(struct swath_setup, pool) == 104, "swath_setup.pool");
_Static_assert(offsetof(struct swath_setup, found_tables) == 152, "swath_setup.found_tables");
_Static_assert(offsetof(struct swath_setup, found_interfaces) == 160, "swath_setup.found_interfaces");
_Static_assert(offsetof(struct swath_setup, receive) == 168, "swath_setup.receive");
_Static_assert(offsetof(struct swath_setup, tick_every) == 176, "swath_setup.tick_every");
_Static_assert(offsetof(struct swath_setup, native) == 184, "swath_setup.native");
_Static_assert(sizeof(struct swath_entry) == 40, "swath_entry");
_Static_assert(offsetof(struct swath_entry, key) == 0, "swath_entry.key");
_Static_assert(offsetof(struct swath_entry, shared) == 24, "swath_entry.shared");
_Static_assert(offsetof(struct swath_entry, shard) == 32, "swath_entry.shard");
_Static_assert(sizeof(struct swath_context) == 24, "swath_context");
_Static_assert(offsetof(struct swath_context, now) == 0, "swath_context.now");
_Static_assert(offsetof(struct swath_context, tables) == 8, "swath_context.tables");
_Static_assert(offsetof(struct swath_context, table_count) == 16, "swath_context.table_count");
_Static_assert(sizeof(struct swath_lane) == 8, "swath_lane");
_Static_assert(offsetof(struct swath_lane, adj) == 0, "swath_lane.adj");
_Static_assert(offsetof(struct swath_lane, tx) == 4, "swath_lane.tx");
_Static_assert(offsetof(struct swath_lane, rx) == 6, "swath_lane.rx");
_Static_assert(sizeof(struct swath_outbox) == 80, "swath_outbox");
_Static_assert(offsetof(struct swath_outbox, pool) == 0, "swath_outbox.pool");
_Static_assert(offsetof(struct swath_outbox, base) == 8, "swath_outbox.base");
_Static_assert(offsetof(struct swath_outbox, stride) == 16, "swath_outbox.stride");
_Static_assert(offsetof(struct swath_outbox, len) == 20, "swath_outbox.len");
_Static_assert(offsetof(struct swath_outbox, room) == 24, "swath_outbox.room");
_Static_assert(offsetof(struct swath_outbox, spares) == 28, "swath_outbox.spares");
_Static_assert(offsetof(struct swath_outbox, spare) == 32, "swath_outbox.spare");
_Static_assert(offsetof(struct swath_outbox, descs) == 40, "swath_outbox.descs");
_Static_assert(offsetof(struct swath_outbox, lanes) == 48, "swath_outbox.lanes");
_Static_assert(offsetof(struct swath_outbox, next) == 56, "swath_outbox.next");
_Static_assert(offsetof(struct swath_outbox, made) == 64, "swath_outbox.made");
_Static_assert(offsetof(struct swath_outbox, released) == 68, "swath_outbox.released");
_Static_assert(offsetof(struct swath_outbox, no_room) == 72, "swath_outbox.no_room");
_Static_assert(offsetof(struct swath_outbox, no_buffer) == 76, "swath_outbox.no_buffer");
_Static_assert(sizeof(struct swath_frame) == 72, "swath_frame");
_Static_assert(offsetof(struct swath_frame, pool) == 0, "swath_frame.pool");
_Static_assert(offsetof(struct swath_frame, base) == 8, "swath_frame.base");
_Static_assert(offsetof(struct swath_frame, stride) == 16, "swath_frame.stride");
_Static_assert(offsetof(struct swath_frame, len) == 20, "swath_frame.len");
_Static_assert(offsetof(struct swath_frame, descs) == 24, "swath_frame.descs");
_Static_assert(offsetof(struct swath_frame, lanes) == 32, "swath_frame.lanes");
_Static_assert(offsetof(struct swath_frame, next) == 40, "swath_frame.next");
_Static_assert(offsetof(struct swath_frame, outbox) == 48, "swath_frame.outbox");
_Static_assert(offsetof(struct swath_frame, decided) == 56, "swath_frame.decided");
_Static_assert(offsetof(struct swath_frame, taken) == 60, "swath_frame.taken");
_Static_assert(offsetof(struct swath_frame, taken_id) == 64, "swath_frame.taken_id");
_Static_assert(sizeof(struct swath_words) == 16, "swath_words");
_Static_assert(offsetof(struct swath_words, first) == 0, "swath_words.first");
_Static_assert(offsetof(struct swath_words, room) == 8, "swath_words.room");
_Static_assert(offsetof(struct swath_words, len) == 12, "swath_words.len");
_Static_assert(sizeof(struct swath_node) == 288, "swath_node");
_Static_assert(offsetof(struct swath_node, size) == 0, "swath_node.size");
_Static_assert(offsetof(struct swath_node, state_version) == 4, "swath_node.state_version");
_Static_assert(offsetof(struct swath_node, info) == 8, "swath_node.info");
_Static_assert(offsetof(struct swath_node, edges) == 160, "swath_node.edges");
_Static_assert(offsetof(struct swath_node, named) == 176, "swath_node.named");
_Static_assert(offsetof(struct swath_node, key) == 184, "swath_node.key");
_Static_assert(offsetof(struct swath_node, schema) == 192, "swath_node.schema");
_Static_assert(offsetof(struct swath_node, check) == 200, "swath_node.check");
_Static_assert(offsetof(struct swath_node, create) == 208, "swath_node.create");
_Static_assert(offsetof(struct swath_node, process) == 216, "swath_node.process");
_Static_assert(offsetof(struct swath_node, owner) == 224, "swath_node.owner");
_Static_assert(offsetof(struct swath_node, tick) == 232, "swath_node.tick");
_Static_assert(offsetof(struct swath_node, adopt) == 240, "swath_node.adopt");
_Static_assert(offsetof(struct swath_node, save) == 248, "swath_node.save");
_Static_assert(offsetof(struct swath_node, restore) == 256, "swath_node.restore");
_Static_assert(offsetof(struct swath_node, destroy) == 264, "swath_node.destroy");
_Static_assert(offsetof(struct swath_node, reason) == 272, "swath_node.reason");
_Static_assert(offsetof(struct swath_node, simulate) == 280, "swath_node.simulate");
_Static_assert(sizeof(struct swath_table_info) == 136, "swath_table_info");
_Static_assert(offsetof(struct swath_table_info, kind) == 0, "swath_table_info.kind");
_Static_assert(offsetof(struct swath_table_info, summary) == 16, "swath_table_info.summary");
_Static_assert(offsetof(struct swath_table_info, about) == 32, "swath_table_info.about");
_Static_assert(offsetof(struct swath_table_info, uses) == 48, "swath_table_info.uses");
_Static_assert(offsetof(struct swath_table_info, carries) == 64, "swath_table_info.carries");
_Static_assert(offsetof(struct swath_table_info, loses) == 80, "swath_table_info.loses");
_Static_assert(offsetof(struct swath_table_info, reads) == 96, "swath_table_info.reads");
_Static_assert(offsetof(struct swath_table_info, example) == 112, "swath_table_info.example");
_Static_assert(offsetof(struct swath_table_info, ignores_interfaces) == 128, "swath_table_info.ignores_interfaces");
_Static_assert(sizeof(struct swath_table_setup) == 208, "swath_table_setup");
_Static_assert(offsetof(struct swath_table_setup, size) == 0, "swath_table_setup.size");
_Static_assert(offsetof(struct swath_table_setup, workers) == 4, "swath_table_setup.workers");
_Static_assert(offsetof(struct swath_table_setup, siblings) == 8, "swath_table_setup.siblings");
_Static_assert(offsetof(struct swath_table_setup, in_use) == 12, "swath_table_setup.in_use");
_Static_assert(offsetof(struct swath_table_setup, name) == 16, "swath_table_setup.name");
_Static_assert(offsetof(struct swath_table_setup, kind) == 32, "swath_table_setup.kind");
_Static_assert(offsetof(struct swath_table_setup, interfaces) == 48, "swath_table_setup.interfaces");
_Static_assert(offsetof(struct swath_table_setup, tables) == 72, "swath_table_setup.tables");
_Static_assert(offsetof(struct swath_table_setup, table_count) == 80, "swath_table_setup.table_count");
_Static_assert(offsetof(struct swath_table_setup, used) == 88, "swath_table_setup.used");
_Static_assert(offsetof(struct swath_table_setup, old) == 96, "swath_table_setup.old");
_Static_assert(offsetof(struct swath_table_setup, to) == 184, "swath_table_setup.to");
_Static_assert(offsetof(struct swath_table_setup, serves) == 192, "swath_table_setup.serves");
_Static_assert(offsetof(struct swath_table_setup, warn) == 200, "swath_table_setup.warn");
_Static_assert(sizeof(struct swath_questions) == 48, "swath_questions");
_Static_assert(offsetof(struct swath_questions, size) == 0, "swath_questions.size");
_Static_assert(offsetof(struct swath_questions, read) == 8, "swath_questions.read");
_Static_assert(offsetof(struct swath_questions, visit) == 16, "swath_questions.visit");
_Static_assert(offsetof(struct swath_questions, collect) == 24, "swath_questions.collect");
_Static_assert(offsetof(struct swath_questions, answer) == 32, "swath_questions.answer");
_Static_assert(offsetof(struct swath_questions, destroy) == 40, "swath_questions.destroy");
_Static_assert(sizeof(struct swath_table) == 296, "swath_table");
_Static_assert(offsetof(struct swath_table, size) == 0, "swath_table.size");
_Static_assert(offsetof(struct swath_table, state_version) == 4, "swath_table.state_version");
_Static_assert(offsetof(struct swath_table, info) == 8, "swath_table.info");
_Static_assert(offsetof(struct swath_table, key) == 144, "swath_table.key");
_Static_assert(offsetof(struct swath_table, schema) == 152, "swath_table.schema");
_Static_assert(offsetof(struct swath_table, check) == 160, "swath_table.check");
_Static_assert(offsetof(struct swath_table, create) == 168, "swath_table.create");
_Static_assert(offsetof(struct swath_table, shard) == 176, "swath_table.shard");
_Static_assert(offsetof(struct swath_table, sync) == 184, "swath_table.sync");
_Static_assert(offsetof(struct swath_table, succeed) == 192, "swath_table.succeed");
_Static_assert(offsetof(struct swath_table, adopt) == 200, "swath_table.adopt");
_Static_assert(offsetof(struct swath_table, rest) == 208, "swath_table.rest");
_Static_assert(offsetof(struct swath_table, link) == 216, "swath_table.link");
_Static_assert(offsetof(struct swath_table, command) == 224, "swath_table.command");
_Static_assert(offsetof(struct swath_table, figures) == 232, "swath_table.figures");
_Static_assert(offsetof(struct swath_table, state_file) == 240, "swath_table.state_file");
_Static_assert(offsetof(struct swath_table, records) == 248, "swath_table.records");
_Static_assert(offsetof(struct swath_table, save) == 256, "swath_table.save");
_Static_assert(offsetof(struct swath_table, restore) == 264, "swath_table.restore");
_Static_assert(offsetof(struct swath_table, destroy_shard) == 272, "swath_table.destroy_shard");
_Static_assert(offsetof(struct swath_table, destroy) == 280, "swath_table.destroy");
_Static_assert(offsetof(struct swath_table, questions) == 288, "swath_table.questions");
_Static_assert(sizeof(struct swath_host) == 24, "swath_host");
_Static_assert(offsetof(struct swath_host, size) == 0, "swath_host.size");
_Static_assert(offsetof(struct swath_host, minor) == 4, "swath_host.minor");
_Static_assert(offsetof(struct swath_host, to) == 8, "swath_host.to");
_Static_assert(offsetof(struct swath_host, log) == 16, "swath_host.log");
_Static_assert(sizeof(struct swath_plugin) == 200, "swath_plugin");
_Static_assert(offsetof(struct swath_plugin, magic) == 0, "swath_plugin.magic");
_Static_assert(offsetof(struct swath_plugin, abi) == 8, "swath_plugin.abi");
_Static_assert(offsetof(struct swath_plugin, minor) == 12, "swath_plugin.minor");
_Static_assert(offsetof(struct swath_plugin, layout) == 16, "swath_plugin.layout");
_Static_assert(offsetof(struct swath_plugin, size) == 24, "swath_plugin.size");
_Static_assert(offsetof(struct swath_plugin, reserved) == 28, "swath_plugin.reserved");
_Static_assert(offsetof(struct swath_plugin, name) == 32, "swath_plugin.name");
_Static_assert(offsetof(struct swath_plugin, version) == 96, "swath_plugin.version");
_Static_assert(offsetof(struct swath_plugin, built_with) == 128, "swath_plugin.built_with");
_Static_assert(offsetof(struct swath_plugin, nodes) == 160, "swath_plugin.nodes");
_Static_assert(offsetof(struct swath_plugin, node_count) == 168, "swath_plugin.node_count");
_Static_assert(offsetof(struct swath_plugin, tables) == 176, "swath_plugin.tables");
_Static_assert(offsetof(struct swath_plugin, table_count) == 184, "swath_plugin.table_count");
_Static_assert(offsetof(struct swath_plugin, start) == 192, "swath_plugin.start");
#endif

#ifdef __cplusplus
}
#endif

#endif
