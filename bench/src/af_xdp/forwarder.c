// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What AF_XDP costs by itself: takes frames from queue 0 of one device and sends them by queue 0 of another, and nothing else. Nothing of
// swath is in it, so that it is a measure for it. It never sleeps.
//
//   forwarder FROM TO CORE
//
// Frames of 2048 bytes in one region for both sockets; the kernel copies (XDP_COPY), as veth knows no other way.

#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRAME 2048
#define RING 2048
#define FRAMES (2 * RING)
#define BATCH 64

#define CHECK(value)                                                                   \
	({                                                                             \
		long checked = (long)(value);                                          \
		if (checked < 0) {                                                     \
			fprintf(stderr, "forwarder: %s: %s\n", #value, strerror(errno)); \
			exit(1);                                                       \
		}                                                                      \
		checked;                                                               \
	})

struct ring {
	uint32_t *producer, *consumer, *flags;
	void *entries;
	// As this side knows them.
	uint32_t head, tail;
};

struct port {
	int socket;
	struct ring rx, tx, fill, completion;
};

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static void *map(int socket, uint64_t offset, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, socket, offset);

	CHECK(at == MAP_FAILED ? -1 : 0);
	return at;
}

static struct ring ring(int socket, uint64_t page, struct xdp_ring_offset at, size_t entry)
{
	char *base = map(socket, page, at.desc + RING * entry);

	return (struct ring){
		.producer = (void *)(base + at.producer),
		.consumer = (void *)(base + at.consumer),
		.flags = (void *)(base + at.flags),
		.entries = base + at.desc,
	};
}

static struct port port(const char *device, void *region, int shared)
{
	struct xdp_umem_reg memory = { .addr = (uintptr_t)region, .len = (uint64_t)FRAMES * FRAME, .chunk_size = FRAME };
	struct sockaddr_xdp address = { .sxdp_family = AF_XDP, .sxdp_ifindex = if_nametoindex(device) };
	struct xdp_mmap_offsets at;
	socklen_t length = sizeof(at);
	int size = RING, buffer = 4 << 20;
	struct port port = { .socket = CHECK(socket(AF_XDP, SOCK_RAW, 0)) };

	if (shared < 0)
		CHECK(setsockopt(port.socket, SOL_XDP, XDP_UMEM_REG, &memory, sizeof(memory)));
	for (int ring = XDP_RX_RING; ring <= XDP_UMEM_COMPLETION_RING; ring++)
		if (ring != XDP_UMEM_REG)
			CHECK(setsockopt(port.socket, SOL_XDP, ring, &size, sizeof(size)));
	CHECK(setsockopt(port.socket, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)));
	CHECK(getsockopt(port.socket, SOL_XDP, XDP_MMAP_OFFSETS, &at, &length));
	port.rx = ring(port.socket, XDP_PGOFF_RX_RING, at.rx, sizeof(struct xdp_desc));
	port.tx = ring(port.socket, XDP_PGOFF_TX_RING, at.tx, sizeof(struct xdp_desc));
	port.fill = ring(port.socket, XDP_UMEM_PGOFF_FILL_RING, at.fr, sizeof(uint64_t));
	port.completion = ring(port.socket, XDP_UMEM_PGOFF_COMPLETION_RING, at.cr, sizeof(uint64_t));
	if (shared < 0) {
		address.sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP;
	} else {
		address.sxdp_flags = XDP_SHARED_UMEM;
		address.sxdp_shared_umem_fd = shared;
	}
	// A queue is busy for a while after another socket has left it.
	for (int tried = 0; bind(port.socket, (struct sockaddr *)&address, sizeof(address)); tried++) {
		CHECK(errno == EBUSY && tried < 20 ? 0 : -1);
		usleep(100000);
	}
	return port;
}

// return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
static int attach(const char *device, int socket)
{
	union bpf_attr make = { .map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4, .max_entries = 1 };
	int sockets = CHECK(syscall(SYS_bpf, BPF_MAP_CREATE, &make, sizeof(make)));
	struct bpf_insn program[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct xdp_md, rx_queue_index) },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = sockets },
		{},
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)program,
		.insn_cnt = sizeof(program) / sizeof(program[0]),
		.license = (uintptr_t)"Dual MIT/GPL",
	};
	uint32_t queue = 0;
	union bpf_attr put = { .map_fd = sockets, .key = (uintptr_t)&queue, .value = (uintptr_t)&socket };
	union bpf_attr link = { 0 };

	CHECK(syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &put, sizeof(put)));
	link.link_create.prog_fd = CHECK(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load)));
	link.link_create.target_ifindex = if_nametoindex(device);
	link.link_create.attach_type = BPF_XDP;
	link.link_create.flags = XDP_FLAGS_DRV_MODE;
	return CHECK(syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link)));
}

static void wake(struct port *port)
{
	if (__atomic_load_n(port->tx.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP)
		sendto(port->socket, NULL, 0, MSG_DONTWAIT, NULL, 0);
}

int main(int count, char **words)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct port from, to;
	struct xdp_desc *received, *sent;
	uint64_t *filled, *completed, packets = 0;
	cpu_set_t cores;
	void *region;

	if (count != 4) {
		fprintf(stderr, "forwarder FROM TO CORE\n");
		return 64;
	}
	CPU_ZERO(&cores);
	CPU_SET(atoi(words[3]), &cores);
	CHECK(sched_setaffinity(0, sizeof(cores), &cores));
	setrlimit(RLIMIT_MEMLOCK, &all);
	signal(SIGINT, end);
	signal(SIGTERM, end);
	region = mmap(NULL, (size_t)FRAMES * FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	CHECK(region == MAP_FAILED ? -1 : 0);
	from = port(words[1], region, -1);
	to = port(words[2], region, from.socket);
	received = from.rx.entries;
	sent = to.tx.entries;
	filled = from.fill.entries;
	completed = to.completion.entries;
	for (; from.fill.head < RING; from.fill.head++)
		filled[from.fill.head] = (uint64_t)from.fill.head * FRAME;
	__atomic_store_n(from.fill.producer, from.fill.head, __ATOMIC_RELEASE);
	attach(words[1], from.socket);
	fprintf(stderr, "ready\n");
	while (!ended) {
		uint32_t back = __atomic_load_n(to.completion.producer, __ATOMIC_ACQUIRE) - to.completion.tail;
		uint32_t there, room;

		// What was sent waits for the next packet: both rings have room for all frames that there are.
		for (uint32_t at = 0; at < back; at++)
			filled[from.fill.head++ % RING] = completed[to.completion.tail++ % RING] & ~(uint64_t)(FRAME - 1);
		if (back) {
			__atomic_store_n(to.completion.consumer, to.completion.tail, __ATOMIC_RELEASE);
			__atomic_store_n(from.fill.producer, from.fill.head, __ATOMIC_RELEASE);
		}
		there = __atomic_load_n(from.rx.producer, __ATOMIC_ACQUIRE) - from.rx.tail;
		room = RING - (to.tx.head - __atomic_load_n(to.tx.consumer, __ATOMIC_ACQUIRE));
		there = there < BATCH ? there : BATCH;
		there = there < room ? there : room;
		for (uint32_t at = 0; at < there; at++) {
			struct xdp_desc *frame = &received[from.rx.tail++ % RING];

			sent[to.tx.head++ % RING] = (struct xdp_desc){ .addr = frame->addr, .len = frame->len };
		}
		packets += there;
		if (there) {
			__atomic_store_n(from.rx.consumer, from.rx.tail, __ATOMIC_RELEASE);
			__atomic_store_n(to.tx.producer, to.tx.head, __ATOMIC_RELEASE);
		}
		if (to.tx.head != __atomic_load_n(to.tx.consumer, __ATOMIC_ACQUIRE))
			wake(&to);
	}
	printf("{\"received\": %llu}\n", (unsigned long long)packets);
	return 0;
}
