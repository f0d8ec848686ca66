/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Who wrote a file last. Kept for the files written since the object was loaded, as many as the map holds. Each entry
 * carries a stamp of the file as the last change that was seen left it: a file with another one was changed unseen, and
 * then nothing is said of its writer. The stamp is the ctime where the kernel tells of each (ctime.h); elsewhere the mtime,
 * which nothing moves but writing and who sets it.
 */
#pragma once
#include "identity.h"
#include "lineage.h"

struct inode_key {
	__u64 ino;
	__u32 dev;
	__u32 generation;
};

struct last_writer {
	struct image by;
	/* ctime of the last write, nanoseconds since the epoch. */
	__u64 written_ns;
	__u64 stamp_ns;
};

/* One change to a file, as it left it. */
struct change {
	__u64 ctime_ns;
	__u64 stamp_ns;
	/* Nanoseconds of the stamp that it replaced, or AS_NOTED. */
	__u32 before_nsec;
	__u32 action;
};

/* The stamp before was compared already, or nobody can say. */
#define AS_NOTED (~0u)

typedef void (*btf_trace_ctime_ns_xchg)(void *, struct inode *, __u32, __u32, __u32);

static __always_inline bool tells_ctimes(void)
{
	return bpf_core_type_exists(btf_trace_ctime_ns_xchg);
}

/* 120 bytes each with its key: 8 MiB. A tar of 50,000 files fits. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct inode_key);
	__type(value, struct last_writer);
} last_writers SEC(".maps");

static __always_inline struct inode_key inode_key(struct inode *inode)
{
	struct inode_key key = {
		.ino = BPF_CORE_READ(inode, i_ino),
		.dev = BPF_CORE_READ(inode, i_sb, s_dev),
		.generation = BPF_CORE_READ(inode, i_generation),
	};
	return key;
}

static __always_inline bool is_writing(__u32 action)
{
	return action == BT_ACTION_WRITTEN || action == BT_ACTION_TRUNCATED;
}

/*
 * A new file gets its times before its generation (ext4, tmpfs), and what is written into it within that clock tick sets no
 * time: whoever made it is found under no generation. Of one number there is one file at a time, and making it is noted.
 */
static __always_inline struct last_writer *find_writer(struct inode_key *key)
{
	struct last_writer *known = bpf_map_lookup_elem(&last_writers, key);
	struct inode_key as_made = { .ino = key->ino, .dev = key->dev };

	return known || !key->generation || !tells_ctimes() ? known : bpf_map_lookup_elem(&last_writers, &as_made);
}

/* Not inlined, for the room on the stack. */
static __noinline int note_writer(struct inode_key *key, struct image *by, struct change *change)
{
	struct last_writer *known = find_writer(key);
	struct last_writer fresh = { .by = *by, .written_ns = change->ctime_ns, .stamp_ns = change->stamp_ns };

	if (is_writing(change->action)) {
		if (known)
			*known = fresh;
		else
			bpf_map_update_elem(&last_writers, key, &fresh, BPF_ANY);
		return 0;
	}
	if (!known)
		return 0;
	if (change->before_nsec == AS_NOTED || known->stamp_ns % NSEC_PER_SEC == change->before_nsec)
		known->stamp_ns = change->stamp_ns;
	else
		bpf_map_delete_elem(&last_writers, key);
	return 0;
}

/* All 0 where nothing is known of this very state of the file. */
static __always_inline struct last_writer writer_of(struct bt_file *file)
{
	struct inode_key key = { .ino = file->ino, .dev = file->dev, .generation = file->generation };
	struct last_writer *known = find_writer(&key);
	struct last_writer none = {};

	return known && known->stamp_ns == (tells_ctimes() ? file->ctime_ns : file->mtime_ns) ? *known : none;
}
