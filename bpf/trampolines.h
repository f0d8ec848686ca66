/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Changes to files before Linux 6.13 that only BPF trampolines show, where they are allowed, beside what dirty.h sees.
 * Content on xfs, which sets its own times: file_update_time and its kin -> xfs_vn_update_time, once in a clock tick.
 * Modes, lengths and times: notify_change. Names: vfs_rename, vfs_link and vfs_unlink -> security_inode_*, once the kernel
 * has agreed and before the filesystem does it.
 */
#pragma once
#include "changes.h"

/* include/linux/fs.h */
#define S_MTIME 2
#define ATTR_MODE (1u << 0)
#define ATTR_SIZE (1u << 3)
#define ATTR_KILL_SUID (1u << 11)
#define ATTR_KILL_SGID (1u << 12)
#define FMODE_CREATED 0x100000u
#define __O_TMPFILE 020000000u
#define RENAME_EXCHANGE (1u << 1)

/* `agreed`: nothing has happened to the times yet; else they are those after the change. */
static __always_inline int take_named(struct inode *inode, struct dentry *name, __u32 action, bool agreed)
{
	struct change change = { .action = action };

	read_change(inode, &change);
	change.before_nsec = agreed ? change.stamp_ns % NSEC_PER_SEC : AS_NOTED;
	return take_change(inode, name, &change);
}

/* Linux 6.6 took the time out of the arguments, and renamed the field of the inode. */
static __always_inline bool has_time_argument(void)
{
	struct inode___to_6_6 *old = NULL;

	return bpf_core_field_exists(old->i_ctime);
}

SEC("?fexit/xfs_vn_update_time")
int on_xfs_times(unsigned long long *ctx)
{
	struct inode *inode = (void *)ctx[0];
	__u64 flags = 0;

	bpf_get_func_arg(ctx, has_time_argument() ? 2 : 1, &flags);
	if (!(flags & S_MTIME))
		return 0;
	return take_named(inode, first_name(inode), BT_ACTION_WRITTEN, false);
}

/* A file that was made has no write of its own where that follows within the tick. */
SEC("?fentry/security_file_open")
int BPF_PROG(on_created, struct file *file)
{
	struct inode *inode;
	__u32 unused = 0;

	if (!(file->f_mode & FMODE_CREATED) && !(file->f_flags & __O_TMPFILE))
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	if (is_overlay(inode))
		inode = overlay_real_inode(inode, &unused);
	return take_named(inode, NULL, BT_ACTION_TRUNCATED, false);
}

/* Before it: whoever sets times must not pass an unseen writing for one that was seen. */
SEC("?fentry/notify_change")
int BPF_PROG(on_setattr, void *idmap, struct dentry *dentry)
{
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);

	if (!is_overlay(inode))
		return take_named(inode, NULL, BT_ACTION_UNKNOWN, true);
	note_overlay_name(dentry, false);
	return 0;
}

/* Clearing setuid belongs to the write that does it. */
static __always_inline __u32 action_of_attributes(__u32 valid)
{
	if (valid & ATTR_SIZE)
		return BT_ACTION_TRUNCATED;
	return (valid & ATTR_MODE) && !(valid & (ATTR_KILL_SUID | ATTR_KILL_SGID)) ? BT_ACTION_MODE : BT_ACTION_UNKNOWN;
}

SEC("?fexit/notify_change")
int BPF_PROG(on_setattr_done, void *idmap, struct dentry *dentry, struct iattr *attr, struct inode **delegated, int error)
{
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);

	if (error || is_overlay(inode))
		return 0;
	return take_named(inode, dentry, action_of_attributes(BPF_CORE_READ(attr, ia_valid)), false);
}

static __always_inline int take_name(struct dentry *dentry, __u32 action, bool is_target)
{
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);

	if (!inode)
		return 0;
	if (!is_overlay(inode))
		return take_named(inode, dentry, action, true);
	note_overlay_name(dentry, is_target);
	return 0;
}

SEC("?fexit/security_inode_rename")
int BPF_PROG(on_rename, struct inode *old_folder, struct dentry *from, struct inode *new_folder, struct dentry *to,
	     unsigned int flags, int refused)
{
	if (refused)
		return 0;
	return take_name(from, BT_ACTION_RENAMED, false);
}

/* What stands at the new name, if anything does. */
SEC("?fexit/security_inode_rename")
int BPF_PROG(on_replace, struct inode *old_folder, struct dentry *from, struct inode *new_folder, struct dentry *to,
	     unsigned int flags, int refused)
{
	if (refused)
		return 0;
	return take_name(to, (flags & RENAME_EXCHANGE) ? BT_ACTION_RENAMED : BT_ACTION_REPLACED, true);
}

SEC("?fexit/security_inode_link")
int BPF_PROG(on_link, struct dentry *from, struct inode *folder, struct dentry *to, int refused)
{
	return refused ? 0 : take_name(from, BT_ACTION_LINKED, false);
}

SEC("?fexit/security_inode_unlink")
int BPF_PROG(on_unlink, struct inode *folder, struct dentry *dentry, int refused)
{
	return refused ? 0 : take_name(dentry, BT_ACTION_UNLINKED, false);
}
