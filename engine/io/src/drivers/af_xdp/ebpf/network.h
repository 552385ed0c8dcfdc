// SPDX-License-Identifier: MIT OR Apache-2.0
//
// From a frame to the packet in it.

#pragma once

#define TAGS 2

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
