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

#define QUEUES 64
#define RANGES 16
#define PREFIXES 1024
#define EXTENSIONS 6
#define TAGS 2
// Halvings of the borders of IPv6: what it takes for 2^21 of them.
#define HALVINGS 22

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

// What is behind an Ethernet header and its tags, and of which type it is; 0 if the frame is too short.
static __always_inline __be16 network(void **at, void *end)
{
	struct ethhdr *ethernet = *at;
	__be16 type;

	if ((void *)(ethernet + 1) > end)
		return 0;
	type = ethernet->h_proto;
	*at = ethernet + 1;
#pragma unroll
	for (int tag = 0; tag < TAGS; tag++) {
		__be16 *tagged = *at;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tagged + 2) > end)
			return 0;
		type = tagged[1];
		*at = tagged + 2;
	}
	return type;
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
