/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Who wrote a file last. Kept for the files written since the object was loaded, as many as the map holds. Each entry
 * carries the ctime of the last change that was seen: a file whose ctime is another one was changed unseen, and then
 * nothing is said of its writer.
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
	/* ctime of the last write, and of the last change of any kind, nanoseconds since the epoch. */
	__u64 written_ns;
	__u64 changed_ns;
};

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

/* `before_nsec`: the nanoseconds of the ctime that this change replaced. */
static __always_inline void note_writer(struct inode_key *key, struct image by, __u64 ctime_ns, __u32 before_nsec, bool wrote)
{
	struct last_writer *known = bpf_map_lookup_elem(&last_writers, key);
	struct last_writer fresh = { .by = by, .written_ns = ctime_ns, .changed_ns = ctime_ns };

	if (!known) {
		if (wrote)
			bpf_map_update_elem(&last_writers, key, &fresh, BPF_ANY);
		return;
	}
	if (wrote) {
		*known = fresh;
		return;
	}
	if (known->changed_ns % NSEC_PER_SEC == before_nsec)
		known->changed_ns = ctime_ns;
	else
		bpf_map_delete_elem(&last_writers, key);
}

/* All 0 where nothing is known of this very state of the file. */
static __always_inline struct last_writer writer_of(struct bt_file *file)
{
	struct inode_key key = { .ino = file->ino, .dev = file->dev, .generation = file->generation };
	struct last_writer *known = bpf_map_lookup_elem(&last_writers, &key);
	struct last_writer none = {};

	return known && known->changed_ns == file->ctime_ns ? *known : none;
}
