// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Rules, by which packets are dropped.

#pragma once

#include "list.h"

// Rules deny packets by both addresses. They are written by ../denials.rs, to one of two halves of these maps while the program looks at the
// other. An address has the last border that is not behind it: the first rule that asks for nothing but such an address, and the class
// of the address to rules that ask for both, 0 if none of them does.
#define NO_RULE 0xffffffff

struct bound {
	__u64 high, low;
	__u32 rule, class;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bound);
} bounds SEC(".maps");

// For each class of sources, then for each of destinations, the first rule that asks for both.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct words);
} pairs SEC(".maps");

// Packets of each half, then of each queue, by rule.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} denied SEC(".maps");

// Of a version of IP: where the borders of sources and of destinations are, and how many; where the classes are, and how many of
// destinations there are; the first rule that asks for no address; and whether rules are asked about fragments.
struct denials {
	__u32 first[2], count[2];
	__u32 pairs, width;
	__u32 any;
	__u32 fragments;
};

// Of IPv4 and of IPv6 of the first half, then of the second.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct denials);
} denials SEC(".maps");

// Which half counts.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} which SEC(".maps");

// How many queues and rules `denied` has room for.
struct room {
	__u32 queues, rules;
};

volatile const struct room room = {};

// The last border that is not behind an address.
static __always_inline struct bound *bound_of(__u32 first, __u32 left, __u64 high, __u64 low)
{
	__u32 at = first, key;

#pragma clang loop unroll(disable)
	for (int halving = 0; halving < HALVINGS; halving++) {
		struct bound *bound;
		__u32 half = left / 2, behind;

		if (!left)
			break;
		key = at + half;
		bound = bpf_map_lookup_elem(&bounds, &key);
		if (!bound)
			return 0;
		// As in `is_listed6`.
		behind = borrow(high, bound->high, borrow(low, bound->low, 0)) - 1;
		at += (half + 1) & behind;
		left = half - (~left & 1 & behind);
	}
	if (left || at == first)
		return 0;
	key = at - 1;
	return bpf_map_lookup_elem(&bounds, &key);
}

// Whether what is behind the header of IP is as long as the one of its protocol: the node drops the rest for another reason. What else
// there may be is left to the node.
static __always_inline int has_header(__u8 protocol, __u32 length)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return length >= 20;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return length >= 8;
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		return length >= 12;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return length >= 4;
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
	case IPPROTO_GRE:
		return 1;
	default:
		return 0;
	}
}

// Addresses of a packet that rules are asked about.
struct pair {
	__u64 high[2], low[2];
	__u8 is_ip6;
	__u8 is_fragment;
};

static __always_inline int addresses_of(void *at, void *end, struct pair *pair)
{
	__be16 type = network(&at, end);

	if (type == bpf_htons(ETH_P_IP)) {
		struct header {
			__u8 version, tos;
			__be16 length, id, fragment;
			__u8 ttl, protocol;
			__be16 checksum;
			__be32 source, destination;
		} *ip = at;
		__u32 words, length, offset;

		if ((void *)(ip + 1) > end)
			return 0;
		words = ip->version & 15;
		length = bpf_ntohs(ip->length);
		if (ip->version >> 4 != 4 || words < 5 || length < words * 4 || at + length > end)
			return 0;
		offset = bpf_ntohs(ip->fragment) & 0x1fff;
		pair->is_fragment = (bpf_ntohs(ip->fragment) & 0x3fff) != 0;
		if (offset == 1 && ip->protocol == IPPROTO_TCP)
			return 0;
		if (!offset && !has_header(ip->protocol, length - words * 4))
			return 0;
		pair->low[0] = bpf_ntohl(ip->source);
		pair->low[1] = bpf_ntohl(ip->destination);
		return 1;
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
		if (!has_header(ip->next, bpf_ntohs(ip->length)))
			return 0;
		pair->is_ip6 = 1;
		pair->high[0] = WORD64(ip->source, 0);
		pair->low[0] = WORD64(ip->source, 2);
		pair->high[1] = WORD64(ip->destination, 0);
		pair->low[1] = WORD64(ip->destination, 2);
		return 1;
	}
	return 0;
}

// The first rule that denies the packet.
static __always_inline __u32 rule_of(__u32 half, const struct pair *pair)
{
	struct bound *source, *destination;
	struct denials *rules;
	struct words *words;
	__u32 key = half * 2 + pair->is_ip6, rule, word;

	rules = bpf_map_lookup_elem(&denials, &key);
	if (!rules || (pair->is_fragment && !rules->fragments))
		return NO_RULE;
	rule = rules->any;
	source = bound_of(rules->first[0], rules->count[0], pair->high[0], pair->low[0]);
	if (source && source->rule < rule)
		rule = source->rule;
	destination = bound_of(rules->first[1], rules->count[1], pair->high[1], pair->low[1]);
	if (destination && destination->rule < rule)
		rule = destination->rule;
	if (!source || !destination || !source->class || !destination->class)
		return rule;
	key = rules->pairs + source->class * rules->width + destination->class;
	word = key & 15;
	key >>= 4;
	words = bpf_map_lookup_elem(&pairs, &key);
	if (words && words->word[word] < rule)
		rule = words->word[word];
	return rule;
}

// Counts a packet for the first rule that denies it.
static __always_inline int is_denied(void *at, void *end, __u32 queue)
{
	struct pair addresses = {};
	__u32 key = 0, now, rule;
	__u64 *number;

	if (queue >= room.queues || !addresses_of(at, end, &addresses))
		return 0;
	number = bpf_map_lookup_elem(&which, &key);
	if (!number)
		return 0;
	// Read once: it may change meanwhile.
	now = *(volatile __u64 *)number & 1;
	rule = rule_of(now, &addresses);
	if (rule >= room.rules)
		return 0;
	key = (now * room.queues + queue) * room.rules + rule;
	number = bpf_map_lookup_elem(&denied, &key);
	if (!number)
		return 0;
	__sync_fetch_and_add(number, 1);
	return 1;
}
