/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Where the kernel sets a ctime (Linux 6.13), and so tells of a change to a file. */
#pragma once
#include "changes.h"

static __always_inline bool has_fine_times(struct inode *inode)
{
	return BPF_CORE_READ(inode, i_sb, s_type, fs_flags) & FS_MGTIME;
}

/* Filesystems with fine times (6.13: ext4, xfs, btrfs, tmpfs): the new time has just been put in place. */
SEC("?tp_btf/ctime_ns_xchg")
int BPF_PROG(on_ctime, struct inode *inode, __u32 old, __u32 new)
{
	__u64 seconds = BPF_CORE_READ((struct inode___from_6_11 *)inode, i_ctime_sec);

	return take_change(inode, to_ns(seconds, new & ~I_CTIME_QUERIED), old & ~I_CTIME_QUERIED);
}

/* The same, within a clock tick of the last change: the time stays. A write comes here only where it also truncates. */
SEC("?tp_btf/ctime_xchg_skip")
int BPF_PROG(on_ctime_kept, struct inode *inode, struct timespec64 *now)
{
	return take_change(inode, to_ns(now->tv_sec, now->tv_nsec), now->tv_nsec);
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
	return take_change(inode, to_ns(now->tv_sec, now->tv_nsec), before.ctime_ns % NSEC_PER_SEC);
}
