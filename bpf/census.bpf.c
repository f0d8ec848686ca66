// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * Counts execs and ends of processes, whether a probe runs or not: map and links stay pinned in bpffs. An object of its
 * own, so that the probe's programs can change while the count goes on. Handlers of a tracepoint run in the order in
 * which they were attached, with preemption off: a probe, attached later, finds its own exec already counted.
 */
#include "census.h"

struct census_about {
	__u32 layout;
	__u32 reserved;
	__u64 id;
};

/* Written once, before anything is counted: counts of two censuses are never compared. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct census_about);
} census_about SEC(".maps");

SEC("tp_btf/sched_process_exec")
int count_exec(void *ctx)
{
	struct census_counts *own = own_census();

	if (own)
		own->execs++;
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(count_exit, struct task_struct *task)
{
	struct census_counts *own = own_census();

	if (own && BPF_CORE_READ(task, signal, live.counter) == 0)
		own->exits++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
