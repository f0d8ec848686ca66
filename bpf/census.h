/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The census: how many execs and process exits a CPU has had since the census began. census.bpf.c counts, pinned and
 * whether a probe runs or not; a probe reads the same map. Another layout needs another CENSUS_LAYOUT
 * (services/probe/src/census.ts): a pinned census of any other is replaced.
 */
#pragma once
#include "kernel.h"

struct census_counts {
	__u64 execs;
	__u64 exits;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct census_counts);
} census_counts SEC(".maps");

static __always_inline struct census_counts *own_census(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&census_counts, &zero);
}
