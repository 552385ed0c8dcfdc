// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Which frames of a device go to the sockets of swath; the kernel keeps the rest. `../program.rs` fills in `capture` before it loads
// this, so that the kernel's verifier removes whatever a capture does not ask for: of `capture: all`, three instructions remain.
//
// Rebuilt by ./build, whose result is kept beside this file, so that swath is built without clang.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "list.h"
#include "network.h"
#include "rules.h"

#define QUEUES 64
#define RANGES 16
#define PREFIXES 1024
#define EXTENSIONS 6

// The bits of `capture.flags`: what a frame has to meet to be ours. None: every frame is.
#define OWN_MAC 1
#define DESTINATIONS 2
#define PROTOCOLS 4
#define EXCEPT 8

// A protocol, and of TCP, UDP and SCTP the ports that are meant, in the byte order of the machine. ICMP has port 0.
struct range {
	__u16 protocol;
	__u16 first;
	__u16 last;
};

// The layout is that of `Constants` in ../program.rs.
struct capture {
	__u32 flags;
	__u8 mac[6];
	__u8 protocols;
	__u8 excepted;
	struct range protocol[RANGES];
	struct range except[RANGES];
};

volatile const struct capture capture = {};

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

struct prefix4 {
	__u32 length;
	__u8 address[4];
};

struct prefix6 {
	__u32 length;
	__u8 address[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, PREFIXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix4);
	__type(value, __u32);
} destinations4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, PREFIXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix6);
	__type(value, __u32);
} destinations6 SEC(".maps");

// What was dropped of a queue, on a line of its own: by source, by destination, and bytes.
struct dropped {
	__u64 packets[2];
	__u64 bytes;
	__u64 unused[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, QUEUES);
	__type(key, __u32);
	__type(value, struct dropped);
} dropped SEC(".maps");

// What a capture can ask of a frame.
struct seen {
	__u16 protocol;
	__u16 source;
	__u16 destination;
	__u8 has_ports;
	// A fragment beyond the first.
	__u8 is_rest;
	// One of which only the first says the protocol.
	__u8 is_unknown;
	__u8 is_ip;
	__u8 is_destination;
};

#define NEED(pointer, end) \
	if ((void *)((pointer) + 1) > (end)) \
		return

static __always_inline void ports(struct seen *seen, void *at, void *end)
{
	__be16 *both = at;

	if (seen->is_rest)
		return;
	if (seen->protocol != IPPROTO_TCP && seen->protocol != IPPROTO_UDP && seen->protocol != IPPROTO_SCTP) {
		seen->has_ports = 1;
		return;
	}
	if ((void *)(both + 2) > end)
		return;
	seen->source = bpf_ntohs(both[0]);
	seen->destination = bpf_ntohs(both[1]);
	seen->has_ports = 1;
}

// RFC 791 §3.1.
static __always_inline void ip4(struct seen *seen, void *at, void *end)
{
	struct header {
		__u8 version, tos;
		__be16 length, id, fragment;
		__u8 ttl, protocol;
		__be16 checksum;
		__u8 source[4], destination[4];
	} *ip = at;
	__u32 words;

	NEED(ip, end);
	words = ip->version & 15;
	if (words < 5)
		return;
	seen->is_ip = 1;
	seen->protocol = ip->protocol;
	seen->is_rest = (bpf_ntohs(ip->fragment) & 0x1fff) != 0;
	if (capture.flags & DESTINATIONS) {
		struct prefix4 key = { .length = 32 };

		__builtin_memcpy(key.address, ip->destination, 4);
		seen->is_destination = bpf_map_lookup_elem(&destinations4, &key) != 0;
	}
	ports(seen, at + words * 4, end);
}

// Headers of RFC 8200 §4 that another one follows, in the clear.
static __always_inline int is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS || next == IPPROTO_FRAGMENT;
}

// RFC 8200 §3 and §4.
static __always_inline void ip6(struct seen *seen, void *at, void *end)
{
	struct header {
		__u8 version[4];
		__be16 length;
		__u8 next, limit;
		__u8 source[16], destination[16];
	} *ip = at;
	__u8 next;

	NEED(ip, end);
	seen->is_ip = 1;
	if (capture.flags & DESTINATIONS) {
		struct prefix6 key = { .length = 128 };

		__builtin_memcpy(key.address, ip->destination, 16);
		seen->is_destination = bpf_map_lookup_elem(&destinations6, &key) != 0;
	}
	next = ip->next;
	at = ip + 1;
#pragma unroll
	for (int extension = 0; extension < EXTENSIONS; extension++) {
		struct option {
			__u8 next, length;
			__be16 fragment;
		} *option = at;

		if (!is_extension(next))
			break;
		NEED(option, end);
		if (next == IPPROTO_FRAGMENT) {
			next = option->next;
			at += 8;
			// What follows is payload from the middle of a packet, though it may look like the header that is named.
			if (option->fragment & bpf_htons(0xfff8)) {
				seen->is_rest = 1;
				seen->is_unknown = is_extension(next);
				break;
			}
		} else {
			next = option->next;
			at += (option->length + 1) * 8;
		}
	}
	seen->protocol = next;
	ports(seen, at, end);
}

// RFC 826: what is asked for, or who asks, counts as the destination.
static __always_inline void arp(struct seen *seen, void *at, void *end)
{
	struct header {
		__be16 hardware, protocol;
		__u8 hardware_length, protocol_length;
		__be16 operation;
		__u8 sender_mac[6], sender[4], target_mac[6], target[4];
	} *arp = at;
	struct prefix4 key = { .length = 32 };

	NEED(arp, end);
	if (arp->protocol != bpf_htons(ETH_P_IP) || arp->protocol_length != 4 || arp->hardware_length != 6)
		return;
	__builtin_memcpy(key.address, arp->target, 4);
	seen->is_destination = bpf_map_lookup_elem(&destinations4, &key) != 0;
}

static __always_inline void look(struct seen *seen, void *at, void *end)
{
	__be16 type = network(&at, end);

	if (type == bpf_htons(ETH_P_IP))
		ip4(seen, at, end);
	else if (type == bpf_htons(ETH_P_IPV6))
		ip6(seen, at, end);
	else if (type == bpf_htons(ETH_P_ARP) && capture.flags & DESTINATIONS)
		arp(seen, at, end);
}

static __always_inline int is_own_mac(void *at, void *end)
{
	__u8 *mac = at;

	if (at + 6 > end)
		return 0;
	// Groups, of which all hosts are one, too.
	if (mac[0] & 1)
		return 1;
	return mac[0] == capture.mac[0] && mac[1] == capture.mac[1] && mac[2] == capture.mac[2] && mac[3] == capture.mac[3] &&
	       mac[4] == capture.mac[4] && mac[5] == capture.mac[5];
}

static __always_inline int within(const volatile struct range *range, __u16 port)
{
	return port >= range->first && port <= range->last;
}

// Fragments beyond the first have no ports, and go to the kernel.
static __always_inline int is_of_protocols(const struct seen *seen)
{
	if (!seen->is_ip || seen->is_unknown)
		return 0;
#pragma unroll
	for (int at = 0; at < RANGES; at++) {
		const volatile struct range *range = &capture.protocol[at];

		if (at >= capture.protocols)
			break;
		if (range->protocol != seen->protocol)
			continue;
		if (range->first == 0 && range->last == 0xffff)
			return 1;
		if (seen->has_ports && within(range, seen->destination))
			return 1;
	}
	return 0;
}

// In both directions; fragments beyond the first with all of their protocol, and those that may be of any.
static __always_inline int is_excepted(const struct seen *seen)
{
	if (!seen->is_ip)
		return 0;
	if (seen->is_unknown)
		return 1;
#pragma unroll
	for (int at = 0; at < RANGES; at++) {
		const volatile struct range *range = &capture.except[at];

		if (at >= capture.excepted)
			break;
		if (range->protocol != seen->protocol)
			continue;
		if (!seen->has_ports || within(range, seen->destination) || within(range, seen->source))
			return 1;
	}
	return 0;
}

static __always_inline int is_ours(struct xdp_md *ctx)
{
	void *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct seen seen = {};

	if (!capture.flags)
		return 1;
	if (capture.flags & OWN_MAC && !is_own_mac(at, end))
		return 0;
	if (!(capture.flags & (DESTINATIONS | PROTOCOLS | EXCEPT)))
		return 1;
	look(&seen, at, end);
	if (capture.flags & DESTINATIONS && !seen.is_destination)
		return 0;
	if (capture.flags & PROTOCOLS && !is_of_protocols(&seen))
		return 0;
	return !(capture.flags & EXCEPT && is_excepted(&seen));
}

// Drops and counts what is in the list, or what a rule denies.
static __always_inline int is_dropped(struct xdp_md *ctx)
{
	void *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 queue = ctx->rx_queue_index, by = 0;
	struct dropped *count;

	// What no socket would get is not for the list either.
	if (!bpf_map_lookup_elem(&sockets, &queue))
		return 0;
	if (sieve & RULES ? !is_denied(at, end, queue) : !is_listed(at, end, &by))
		return 0;
	count = bpf_map_lookup_elem(&dropped, &queue);
	if (!count)
		return 0;
	// Behind the driver, several processors may have packets of one queue.
	__sync_fetch_and_add(&count->bytes, ctx->data_end - ctx->data);
	__sync_fetch_and_add(by ? &count->packets[1] : &count->packets[0], 1);
	return 1;
}

SEC("xdp")
int swath(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	if (sieve && is_dropped(ctx))
		return XDP_DROP;
	// A queue that no socket is bound to stays with the kernel.
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Dual MIT/GPL";
