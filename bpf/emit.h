/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Numbering, counting and handing over: what is lost is counted where it is lost. */
#pragma once
#include "events.h"
#include "kernel.h"

/* Indexed by event type: seen = sent + lost, per CPU, since the object was loaded. */
struct counters {
	__u64 seen;
	__u64 sent;
	__u64 lost;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct counters);
} event_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} sequence SEC(".maps");

/* Exec and exit have a ring of their own: a flood of anything else can never drop an exec. Sized by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024);
} exec_ring SEC(".maps");

/* Numbers a record before anything can go wrong with it, so that whatever is lost leaves a gap. */
static __always_inline void number_record(struct bt_record *record, __u32 type)
{
	__u32 zero = 0;
	__u64 *next = bpf_map_lookup_elem(&sequence, &zero);
	struct counters *counters = bpf_map_lookup_elem(&event_counters, &type);

	record->type = type;
	record->cpu = bpf_get_smp_processor_id();
	record->boot_ns = bpf_ktime_get_boot_ns();
	record->seq = next ? (*next)++ : 0;
	if (counters)
		counters->seen++;
}

static __always_inline void send_record(struct bt_record *record, __u32 size)
{
	__u32 type = record->type;
	struct counters *counters = bpf_map_lookup_elem(&event_counters, &type);
	long failed = bpf_ringbuf_output(&exec_ring, record, size, 0);

	if (!counters)
		return;
	if (failed)
		counters->lost++;
	else
		counters->sent++;
}
