/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Numbering, counting and handing over: what is lost is counted where it is lost. */
#pragma once
#include "bell.h"
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
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct counters);
} event_counters SEC(".maps");

/* Which ring a record goes to. Each numbers its own, so that a gap is a loss in that ring. */
#define RING_EXEC 0
#define RING_CODE 1

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} sequences SEC(".maps");

/* At least: user space decides before it loads the object (services/probe/src/ring-sizes.ts). */
#define EXEC_RING_BYTES (16 * 1024 * 1024)
#define CODE_RING_BYTES (4 * 1024 * 1024)

/*
 * Exec and exit have a ring of their own: a flood of anything else can never drop an exec. A short program takes about
 * 560 bytes with its end.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EXEC_RING_BYTES);
} exec_ring SEC(".maps");

/* Everything else that is numbered: code that is loaded, files that change. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CODE_RING_BYTES);
} code_ring SEC(".maps");

/* Numbers a record before anything can go wrong with it, so that whatever is lost leaves a gap. */
static __always_inline void number_record(struct bt_record *record, __u32 type, __u32 ring)
{
	__u64 *next = bpf_map_lookup_elem(&sequences, &ring);
	struct counters *counters = bpf_map_lookup_elem(&event_counters, &type);

	record->type = type;
	record->cpu = bpf_get_smp_processor_id();
	record->boot_ns = bpf_ktime_get_boot_ns();
	record->seq = next ? (*next)++ : 0;
	if (counters)
		counters->seen++;
}

/* Hands a numbered record to a ring, and wakes user space unless it `can_wait`; true when it was taken. */
static __always_inline bool hand_over(struct bt_record *record, __u32 size, __u32 ring, bool can_wait)
{
	__u32 type = record->type;
	struct counters *counters = bpf_map_lookup_elem(&event_counters, &type);
	void *to = ring == RING_EXEC ? (void *)&exec_ring : (void *)&code_ring;
	__u32 ring_bytes = ring == RING_EXEC ? EXEC_RING_BYTES : CODE_RING_BYTES;
	long failed = bpf_ringbuf_output(to, record, size, bell_for(to, ring_bytes, can_wait));

	if (!counters)
		return !failed;
	if (failed)
		counters->lost++;
	else
		counters->sent++;
	return !failed;
}

static __always_inline bool send_record(struct bt_record *record, __u32 size, __u32 ring)
{
	return hand_over(record, size, ring, false);
}

/* For what there is no room to put together. */
static __always_inline void count_lost_record(__u32 type)
{
	struct counters *counters = bpf_map_lookup_elem(&event_counters, &type);

	if (!counters)
		return;
	counters->seen++;
	counters->lost++;
}
