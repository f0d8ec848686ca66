/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The identity of a file, computed in this one function for events and descriptors alike: user space only ever
 * compares what it returns. stat() cannot stand in for it: it encodes st_dev differently, and after an overlay copy-up
 * still names the lower file.
 */
#pragma once
#include "events.h"
#include "kernel.h"

/* include/uapi/linux/magic.h, include/linux/fs.h */
#define OVERLAYFS_SUPER_MAGIC 0x794c7630u
#define SB_KERNMOUNT (1ul << 22)
#define FS_MGTIME 64
#define I_CTIME_QUERIED (1u << 31)
#define S_ISUID 04000
#define S_ISGID 02000
#define S_IXGRP 00010
#define NSEC_PER_SEC 1000000000ull

static __always_inline __u64 to_ns(__s64 seconds, __u32 nanoseconds)
{
	return (__u64)seconds * NSEC_PER_SEC + nanoseconds;
}

/*
 * Overlay's real inode: the upper one once there is one, else the lowest layer's. Where overlay is a module its types
 * are not in the kernel's own BTF; then __upperdentry directly follows the VFS inode (fs/overlayfs/ovl_entry.h), and
 * before 6.5 the lower path follows that.
 */
static __always_inline struct inode *overlay_real_inode(struct inode *inode, __u32 *flags)
{
	void *upper_at, *lower = NULL;
	struct dentry *upper = NULL;

	if (bpf_core_type_exists(struct ovl_inode___from_6_5)) {
		struct ovl_inode___from_6_5 *ovl;

		upper_at = (void *)inode - bpf_core_field_offset(struct ovl_inode___from_6_5, vfs_inode);
		ovl = upper_at;
		upper = BPF_CORE_READ(ovl, __upperdentry);
		if (bpf_core_field_exists(ovl->oe)) {
			struct ovl_entry___from_6_5 *oe = BPF_CORE_READ(ovl, oe);

			bpf_core_read(&lower, sizeof(lower), &oe->__lowerstack[0].dentry);
		} else {
			lower = BPF_CORE_READ((struct ovl_inode___to_6_4 *)upper_at, lowerpath.dentry);
		}
	} else {
		upper_at = (void *)inode + bpf_core_type_size(struct inode);
		bpf_probe_read_kernel(&upper, sizeof(upper), upper_at);
		bpf_probe_read_kernel(&lower, sizeof(lower), upper_at + 2 * sizeof(void *));
	}
	*flags |= BT_FLAG_OVERLAY;
	if (upper) {
		*flags |= BT_FLAG_UPPER_LAYER;
		return BPF_CORE_READ(upper, d_inode);
	}
	return lower ? BPF_CORE_READ((struct dentry *)lower, d_inode) : inode;
}

static __always_inline void read_times(struct inode *inode, struct bt_file *out)
{
	struct inode___from_6_11 *new = (void *)inode;
	struct inode___from_6_6 *mid = (void *)inode;
	struct inode___from_6_7 *late = (void *)inode;
	struct inode___to_6_6 *old = (void *)inode;

	if (bpf_core_field_exists(new->i_ctime_sec)) {
		__u32 nsec = BPF_CORE_READ(new, i_ctime_nsec);
		struct super_block *sb = BPF_CORE_READ(inode, i_sb);

		out->ctime_ns = to_ns(BPF_CORE_READ(new, i_ctime_sec), nsec & ~I_CTIME_QUERIED);
		out->mtime_ns = to_ns(BPF_CORE_READ(new, i_mtime_sec), BPF_CORE_READ(new, i_mtime_nsec));
		/* Multigrain timestamps (6.13): a change after this query gets a finer, hence different, ctime. */
		if ((nsec & I_CTIME_QUERIED) && (BPF_CORE_READ(sb, s_type, fs_flags) & FS_MGTIME))
			out->flags |= BT_FLAG_FINE_CTIME;
		return;
	}
	if (bpf_core_field_exists(mid->__i_ctime))
		out->ctime_ns = to_ns(BPF_CORE_READ(mid, __i_ctime.tv_sec), BPF_CORE_READ(mid, __i_ctime.tv_nsec));
	else
		out->ctime_ns = to_ns(BPF_CORE_READ(old, i_ctime.tv_sec), BPF_CORE_READ(old, i_ctime.tv_nsec));
	if (bpf_core_field_exists(late->__i_mtime))
		out->mtime_ns = to_ns(BPF_CORE_READ(late, __i_mtime.tv_sec), BPF_CORE_READ(late, __i_mtime.tv_nsec));
	else
		out->mtime_ns = to_ns(BPF_CORE_READ(old, i_mtime.tv_sec), BPF_CORE_READ(old, i_mtime.tv_nsec));
}

static __always_inline bool is_overlay(struct inode *inode)
{
	return (__u32)BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAYFS_SUPER_MAGIC;
}

/* Fills identity, magic and flags of an inode by one of its names. */
static __always_inline void describe_inode(struct inode *inode, struct dentry *dentry, struct bt_file *out)
{
	struct super_block *sb = BPF_CORE_READ(inode, i_sb);
	struct inode *real = inode;
	__u16 mode;

	out->flags = 0;
	if (is_overlay(inode)) {
		real = overlay_real_inode(inode, &out->flags);
		sb = BPF_CORE_READ(real, i_sb);
	}
	out->dev = BPF_CORE_READ(sb, s_dev);
	out->generation = BPF_CORE_READ(real, i_generation);
	out->ino = BPF_CORE_READ(real, i_ino);
	out->size = BPF_CORE_READ(real, i_size);
	out->nlink = BPF_CORE_READ(real, i_nlink);
	out->fs_magic = BPF_CORE_READ(sb, s_magic);
	read_times(real, out);
	/*
	 * Execution denies writing on the inode that was opened: on overlay that is overlay's own. After the times: a write
	 * moves them before it copies, so whoever sees the new time and no writer reads the new bytes.
	 */
	out->writecount = BPF_CORE_READ(inode, i_writecount.counter);
	mode = BPF_CORE_READ(real, i_mode);
	if (mode & S_ISUID)
		out->flags |= BT_FLAG_SETUID;
	if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		out->flags |= BT_FLAG_SETGID;
	/* memfd, and whatever else lives on a mount only the kernel has */
	if (BPF_CORE_READ(sb, s_flags) & SB_KERNMOUNT)
		out->flags |= BT_FLAG_MEMFD;
	else if (!BPF_CORE_READ(dentry, d_hash.pprev))
		out->flags |= BT_FLAG_UNLINKED;
}

/* The same of an open file. */
static __always_inline void describe_file(struct file *file, struct bt_file *out)
{
	describe_inode(BPF_CORE_READ(file, f_inode), BPF_CORE_READ(file, f_path.dentry), out);
}
