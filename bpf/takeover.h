/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Where in the census this probe took over, CPU by CPU: from there on its own events speak for what ran. */
#pragma once
#include "census.h"

/* The census at the first exec seen here, that one included; 0 before it, and without a census. One word: never torn. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} takeovers SEC(".maps");

static __always_inline void note_takeover(void)
{
	__u32 zero = 0;
	__u64 *first = bpf_map_lookup_elem(&takeovers, &zero);
	struct census_counts *own = own_census();

	if (first && own && !*first)
		*first = own->execs;
}
