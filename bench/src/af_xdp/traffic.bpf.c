// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Who makes packets and who counts them, in the kernel, so that neither costs as much as what is measured between them.
//
// `generate` is run on frames that the kernel keeps for it (BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES), and sends one while fewer
// than `ALLOWED` are under way. `absorb` counts what arrives. Rebuilt by ./build; the result is kept beside this file.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Ethernet, IPv4 without options, UDP.
#define HEADERS 42

enum {
	SENT,
	// Of these packets, at the end of the way; and of them those that a router has forwarded.
	RECEIVED,
	ROUTED,
	ALLOWED,
	COUNTERS,
};

// Each on cache lines of its own: two processors write them.
struct counter {
	__u64 value;
	__u64 room[15];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");

volatile const __u32 device = 0;
volatile const __u8 headers[HEADERS] = {};
// What a router makes of the addresses of Ethernet.
volatile const __u8 routed[ETH_ALEN] = {};
// Whether sources are translated on the way.
volatile const __u8 translated = 0;

static __always_inline volatile struct counter *counter(__u32 which)
{
	return bpf_map_lookup_elem(&counters, &which);
}

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	__u8 *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	volatile struct counter *sent = counter(SENT), *received = counter(RECEIVED), *allowed = counter(ALLOWED);

	if (!sent || !received || !allowed || at + HEADERS > end)
		return XDP_ABORTED;
	if (sent->value - received->value >= allowed->value)
		return XDP_DROP;
	// Whoever had the frame before may have changed it.
#pragma unroll
	for (int byte = 0; byte < HEADERS; byte++)
		at[byte] = headers[byte];
	sent->value++;
	return bpf_redirect(device, 0);
}

SEC("xdp")
int absorb(struct xdp_md *ctx)
{
	__u8 *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	volatile struct counter *received = counter(RECEIVED), *routed_ones = counter(ROUTED);

	if (!received || !routed_ones || at + HEADERS > end)
		return XDP_PASS;
	// Addresses, protocol and ports: what the kernel sends of its own accord is none of ours.
#pragma unroll
	for (int byte = 26; byte < 38; byte++)
		if (at[byte] != headers[byte] && !(translated && (byte < 30 || byte == 34 || byte == 35)))
			return XDP_PASS;
	if (at[22] + 1 == headers[22] && at[0] == routed[0] && at[1] == routed[1] && at[2] == routed[2] && at[3] == routed[3] &&
	    at[4] == routed[4] && at[5] == routed[5])
		__sync_fetch_and_add(&routed_ones->value, 1);
	__sync_fetch_and_add(&received->value, 1);
	return XDP_DROP;
}

// What it costs to make packets and to take them from a device, without a list.
SEC("xdp")
int discard(struct xdp_md *ctx)
{
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
