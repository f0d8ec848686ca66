/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Changes to files before Linux 6.13, by the tracepoints of inodes that become dirty: in the context of who makes them so,
 * with the new times already set. Writing passes there on filesystems that leave their times to the kernel's own
 * generic_update_time, once in a clock tick: a write within the tick of the last one costs nothing and tells nothing. Of
 * ext4 everything else passes as well.
 */
#pragma once
#include "changes.h"

/* include/linux/fs.h */
#define I_DIRTY_PAGES 4

static __always_inline __u64 read_atime(struct inode *inode)
{
	struct inode___from_6_11 *new = (void *)inode;
	struct inode___from_6_7 *mid = (void *)inode;
	struct inode___to_6_6 *old = (void *)inode;

	if (bpf_core_field_exists(new->i_atime_sec))
		return to_ns(BPF_CORE_READ(new, i_atime_sec), BPF_CORE_READ(new, i_atime_nsec));
	if (bpf_core_field_exists(mid->__i_atime))
		return to_ns(BPF_CORE_READ(mid, __i_atime.tv_sec), BPF_CORE_READ(mid, __i_atime.tv_nsec));
	return to_ns(BPF_CORE_READ(old, i_atime.tv_sec), BPF_CORE_READ(old, i_atime.tv_nsec));
}

/* Whether content was written: the time of the last writer that is known moved, or a file not known was not only read. */
static __always_inline bool is_written(struct inode *inode, struct change *change)
{
	struct inode_key key = inode_key(inode);
	struct last_writer *known = bpf_map_lookup_elem(&last_writers, &key);

	return known ? known->stamp_ns != change->stamp_ns : read_atime(inode) <= change->ctime_ns;
}

static __always_inline int take_dirty(struct inode *inode, __u32 action)
{
	struct change change = { .action = action, .before_nsec = AS_NOTED };

	read_change(inode, &change);
	if (is_writing(action) && !is_written(inode, &change))
		return 0;
	return take_change(inode, first_name(inode), &change);
}

static __always_inline bool is_of_names(__u32 action)
{
	return action == BT_ACTION_RENAMED || action == BT_ACTION_REPLACED || action == BT_ACTION_LINKED ||
	       action == BT_ACTION_UNLINKED;
}

/* Where only pages become dirty, no time has moved. Names are told elsewhere. */
SEC("?tp_btf/writeback_mark_inode_dirty")
int BPF_PROG(on_dirty, struct inode *inode, int flags)
{
	__u32 action;

	if (flags == I_DIRTY_PAGES || (BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFREG)
		return 0;
	action = current_action(inode);
	return is_of_names(action) ? 0 : take_dirty(inode, action);
}

/* ext4's own changes of names do not pass there; what writes blocks back later on does come here. */
SEC("?tp_btf/ext4_mark_inode_dirty")
int BPF_PROG(on_ext4_dirty, struct inode *inode)
{
	__u32 action;

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFREG)
		return 0;
	action = current_action(inode);
	return is_of_names(action) ? take_dirty(inode, action) : 0;
}
