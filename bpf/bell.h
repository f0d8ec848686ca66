/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * When user space is woken, which costs more than what most events bring. While anything happens it looks into the rings
 * by itself now and then (services/probe/src/gatherer.ts), and hears only of what cannot wait for that: a file it does
 * not know, as its process may be gone by then, and a ring that fills up. Nothing here decides what is told.
 */
#pragma once
#include "events.h"
#include "kernel.h"

/* Layout: services/probe/src/bell.ts */
struct bell {
	/* Not 0: user space looks by itself. */
	__u32 gathering;
	/* Not 0: it was rung for since user space last began to look. */
	__u32 rung;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bell);
} bells SEC(".maps");

/* The first fields of struct bt_file, in their order, and where the file was run: a root has packages of its own. */
struct known_key {
	__u32 dev;
	__u32 generation;
	__u64 ino;
	__u64 ctime_ns;
	__u32 mnt_ns;
	__u32 reserved;
};

/* What user space can tell of without looking at anything. It notes that here, and what is forgotten rings once more. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct known_key);
	__type(value, __u32);
} known_programs SEC(".maps");

static __always_inline bool is_known(struct bt_file *file, __u32 mnt_ns)
{
	struct known_key key = {
		.dev = file->dev,
		.generation = file->generation,
		.ino = file->ino,
		.ctime_ns = file->ctime_ns,
		.mnt_ns = mnt_ns,
	};

	return bpf_map_lookup_elem(&known_programs, &key) != NULL;
}

/*
 * Flags for handing over a record. Ringing interrupts this very CPU, so it is done once for a look. One that begins just
 * now may miss the record: the next one follows by itself. Without flags the kernel wakes who has read everything before.
 */
static __always_inline __u64 bell_for(void *ring, __u32 ring_bytes, bool can_wait)
{
	__u32 zero = 0;
	struct bell *bell = bpf_map_lookup_elem(&bells, &zero);

	if (!bell)
		return 0;
	if (can_wait && bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) < ring_bytes / 4)
		return bell->gathering ? BPF_RB_NO_WAKEUP : 0;
	if (bell->rung)
		return BPF_RB_NO_WAKEUP;
	bell->rung = 1;
	return BPF_RB_FORCE_WAKEUP;
}
