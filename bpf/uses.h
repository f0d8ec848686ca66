/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Who used which file lately: the first use is an event, the next ones are counted, and the counts are told now and then
 * (tell_repeats). No count is lost: an entry is closed before it is forgotten, and what comes to a closed one, or finds
 * the table full, is an event again.
 */
#pragma once
#include "emit.h"

#define MAX_USES 8192

/* All that tells two uses apart. Pointers tell names and mounts of one inode apart; the inode's identity guards them. */
struct use_key {
	__u64 cgroup_id;
	__u64 program_dentry;
	__u64 program_ino;
	__u64 dentry;
	__u64 mount;
	__u64 ino;
	__u64 ctime_ns;
	__u64 mtime_ns;
	__u64 size;
	__u32 dev;
	__u32 generation;
	__u32 program_generation;
	__u32 uid;
	__u32 writable;
	__u32 role;
};

struct use {
	/* Of the record that told of it first. */
	__u64 seq;
	__u64 last_ns;
	__u64 repeats;
	__u64 told;
	__u32 cpu;
	/* Counts no more: a moment later nobody is still adding to it, and it can be forgotten. */
	__u32 closed;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_USES);
	__type(key, struct use_key);
	__type(value, struct use);
} uses SEC(".maps");

/* True when this use was met before and is counted now. */
static __always_inline bool is_repeat(struct use_key *key, __u32 type)
{
	struct use *use = bpf_map_lookup_elem(&uses, key);
	struct counters *counters;

	if (!use || use->closed)
		return false;
	__sync_fetch_and_add(&use->repeats, 1);
	use->last_ns = bpf_ktime_get_boot_ns();
	counters = bpf_map_lookup_elem(&event_counters, &type);
	if (counters) {
		counters->seen++;
		counters->sent++;
	}
	return true;
}

static __always_inline void remember_use(struct use_key *key, struct bt_record *record)
{
	struct use use = { .seq = record->seq, .last_ns = record->boot_ns, .cpu = record->cpu };

	bpf_map_update_elem(&uses, key, &use, BPF_NOEXIST);
}

struct tell_request {
	/* 0: tell what was counted since the last time, and close what was not met again. 1: forget what is closed. */
	__u32 forget;
};

static long tell_use(void *map, struct use_key *key, struct use *use, struct tell_request *request)
{
	struct bt_repeats told = { .record.type = BT_REPEATS, .of_seq = use->seq, .of_cpu = use->cpu };
	__u64 count = use->repeats - use->told;

	if (request->forget != use->closed)
		return 0;
	if (!count && !use->closed) {
		use->closed = 1;
		return 0;
	}
	told.last_ns = use->last_ns;
	told.record.boot_ns = bpf_ktime_get_boot_ns();
	told.count = count;
	told.forgotten = use->closed;
	/* Not numbered: numbers are of the CPU, and this may be interrupted there. What is not taken is told next time. */
	if (bpf_ringbuf_output(&code_ring, &told, sizeof(told), 0))
		return 0;
	use->told += count;
	if (use->closed)
		bpf_map_delete_elem(&uses, key);
	return 0;
}

SEC("syscall")
int tell_repeats(struct tell_request *request)
{
	struct tell_request asked = { .forget = request->forget };

	bpf_for_each_map_elem(&uses, tell_use, &asked, 0);
	return 0;
}
