// SPDX-License-Identifier: MIT OR Apache-2.0
//
// A list of addresses, by which packets are dropped.

#pragma once

#include "network.h"

// Halvings of borders: what it takes for 2^21 of them.
#define HALVINGS 22

// The bits of `sieve`: which address of a packet is looked up in the list of those to be dropped, whether ICMPv6 is left alone, and
// whether there are rules in the place of a list. None: there is neither, and none of what follows is left of the program.
#define SOURCE 1
#define DESTINATION 2
#define NOT_ICMPV6 4
#define RULES 8

volatile const __u32 sieve = 0;

// The list is written by ../sieve.rs, to the memory of these maps itself, while packets are looked up. Their lengths are set there.
//
// IPv4, for each /24 a word: NONE of its addresses is in the list, or ALL are, or those of the block of this number less BLOCK.
#define NONE 0
#define ALL 1
#define BLOCK 2

// An element has a multiple of eight bytes: so there are sixteen words in one.
struct words {
	__u32 word[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct words);
} listed4 SEC(".maps");

// A bit for each address of a /24.
struct block {
	__u32 word[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct block);
} blocks4 SEC(".maps");

// IPv6: where the list begins and ends, in order. An address is in it if an odd number of borders is at it or before it.
struct border {
	__u64 high, low;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct border);
} borders6 SEC(".maps");

// Where the borders are that count: the first one, and above 32 bits of that how many there are.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} listed6 SEC(".maps");

static __always_inline int is_listed4(__u32 address)
{
	__u32 key = address >> 12, word;
	struct words *words = bpf_map_lookup_elem(&listed4, &key);
	struct block *block;

	if (!words)
		return 0;
	// Read once: it may change meanwhile.
	word = *(volatile __u32 *)&words->word[address >> 8 & 15];
	if (word < BLOCK)
		return word == ALL;
	key = word - BLOCK;
	block = bpf_map_lookup_elem(&blocks4, &key);
	return block && block->word[address >> 5 & 7] >> (address & 31) & 1;
}

// 1 if `a` is less than `b` and what is borrowed, without a branch: each would double what the verifier has to look at.
static __always_inline __u64 borrow(__u64 a, __u64 b, __u64 borrowed)
{
	return ((~a & b) | (~(a ^ b) & (a - b - borrowed))) >> 63;
}

static __always_inline int is_listed6(__u64 high, __u64 low)
{
	__u32 key = 0, first, at, left;
	__u64 *listed = bpf_map_lookup_elem(&listed6, &key), range;

	if (!listed)
		return 0;
	// Read once, as above.
	range = *(volatile __u64 *)listed;
	first = at = range;
	left = range >> 32;
#pragma clang loop unroll(disable)
	for (int halving = 0; halving < HALVINGS; halving++) {
		struct border *border;
		__u32 half = left / 2, behind;

		if (!left)
			break;
		key = at + half;
		border = bpf_map_lookup_elem(&borders6, &key);
		if (!border)
			return 0;
		// All ones if the border is at the address or before it.
		behind = borrow(high, border->high, borrow(low, border->low, 0)) - 1;
		at += (half + 1) & behind;
		left = half - (~left & 1 & behind);
	}
	return !left && (at - first) & 1;
}

// Whether the list has one of the addresses that are looked up. `by`: 0 if it is the source, else 1.
static __always_inline int is_listed(void *at, void *end, __u32 *by)
{
	__be16 type = network(&at, end);

	// What is not sound is for the node to judge: it says why. So are frames with more tags.
	if (type == bpf_htons(ETH_P_IP)) {
		struct header {
			__u8 version, tos;
			__be16 length;
			__be32 rest[2], source, destination;
		} *ip = at;
		__u32 words, length;

		if ((void *)(ip + 1) > end)
			return 0;
		words = ip->version & 15;
		length = bpf_ntohs(ip->length);
		if (ip->version >> 4 != 4 || words < 5 || length < words * 4 || at + length > end)
			return 0;
		*by = 0;
		if (sieve & SOURCE && is_listed4(bpf_ntohl(ip->source)))
			return 1;
		*by = 1;
		return sieve & DESTINATION && is_listed4(bpf_ntohl(ip->destination));
	}
	if (type == bpf_htons(ETH_P_IPV6)) {
		struct header {
			__u8 version, class[3];
			__be16 length;
			__u8 next, limit;
			__be32 source[4], destination[4];
		} *ip = at;

		if ((void *)(ip + 1) > end)
			return 0;
		if (ip->version >> 4 != 6 || (void *)(ip + 1) + bpf_ntohs(ip->length) > end)
			return 0;
		if (sieve & NOT_ICMPV6 && ip->next == IPPROTO_ICMPV6)
			return 0;
#define WORD64(address, at) ((__u64)bpf_ntohl((address)[at]) << 32 | bpf_ntohl((address)[(at) + 1]))
		*by = 0;
		if (sieve & SOURCE && is_listed6(WORD64(ip->source, 0), WORD64(ip->source, 2)))
			return 1;
		*by = 1;
		return sieve & DESTINATION && is_listed6(WORD64(ip->destination, 0), WORD64(ip->destination, 2));
	}
	return 0;
}
