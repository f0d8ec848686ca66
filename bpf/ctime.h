/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Where the kernel sets a ctime, and so tells of a change to a file (Linux 6.13): every write, truncation, change of mode or
 * name passes there, on every filesystem (fs/inode.c: inode_set_ctime_current).
 */
#pragma once
#include "changes.h"

/* Overlay's own inode took over the times of the real one: the change that waits for a name is this one. */
static __always_inline int name_change(struct inode *inode)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct unnamed *what = bpf_task_storage_get(&unnamed_changes, task, NULL, 0);
	struct dentry *name = first_name(inode);
	struct inode_key key;
	struct lineage *lineage = task_lineage(task);
	struct telling own = { .inode = inode };
	__u32 flags = 0;

	if (!what || !what->action || !name || !lineage)
		return 0;
	key = inode_key(overlay_real_inode(inode, &flags));
	if (key.ino != what->inode.ino || key.dev != what->inode.dev || key.generation != what->inode.generation)
		return 0;
	own.by = lineage->self;
	own.action = what->action;
	own.repeats = what->repeats;
	what->action = 0;
	if (!find_path(task, name, &own.path))
		own.path.dentry = NULL;
	send_change(&own);
	return 0;
}

/* The ctime was set. `before_nsec`: the nanoseconds it had before. */
static __always_inline int take_ctime(struct inode *inode, __u64 ctime_ns, __u32 before_nsec)
{
	struct change change = {
		.ctime_ns = ctime_ns,
		.stamp_ns = ctime_ns,
		.before_nsec = before_nsec,
		.action = current_action(inode),
	};

	return take_change(inode, first_name(inode), &change);
}

static __always_inline bool has_fine_times(struct inode *inode)
{
	return BPF_CORE_READ(inode, i_sb, s_type, fs_flags) & FS_MGTIME;
}

/* Filesystems with fine times (6.13: ext4, xfs, btrfs, tmpfs): the new time has just been put in place. */
SEC("?tp_btf/ctime_ns_xchg")
int BPF_PROG(on_ctime, struct inode *inode, __u32 old, __u32 new)
{
	__u64 seconds = BPF_CORE_READ((struct inode___from_6_11 *)inode, i_ctime_sec);

	return take_ctime(inode, to_ns(seconds, new & ~I_CTIME_QUERIED), old & ~I_CTIME_QUERIED);
}

/* The same, within a clock tick of the last change: the time stays. A write comes here only where it also truncates. */
SEC("?tp_btf/ctime_xchg_skip")
int BPF_PROG(on_ctime_kept, struct inode *inode, struct timespec64 *now)
{
	return take_ctime(inode, to_ns(now->tv_sec, now->tv_nsec), now->tv_nsec);
}

/* Other filesystems, and the copies of times that overlay keeps; also every inode that is read from its disk. */
SEC("?tp_btf/inode_set_ctime_to_ts")
int BPF_PROG(on_ctime_set, struct inode *inode, struct timespec64 *now)
{
	struct bt_file before = {};

	if (is_overlay(inode))
		return name_change(inode);
	if (has_fine_times(inode) || !first_name(inode))
		return 0;
	read_times(inode, &before);
	if (before.ctime_ns == to_ns(now->tv_sec, now->tv_nsec))
		return 0;
	return take_ctime(inode, to_ns(now->tv_sec, now->tv_nsec), before.ctime_ns % NSEC_PER_SEC);
}
