/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A name for an inode: one of its dentries, below a mount of its filesystem that the task can see. */
#pragma once
#include "kernel.h"

/* A host with hundreds of containers has that many mounts of one filesystem. */
#define MOUNTS_TRIED 512
#define DEPTH_TRIED 64

struct mount_search {
	struct dentry *dentry;
	struct mnt_namespace *ns;
	struct mount *mount;
	bool found;
};

static __always_inline struct mount *first_mount(struct super_block *sb)
{
	struct super_block___from_6_18 *new = (void *)sb;
	struct super_block___to_6_17 *old = (void *)sb;
	void *first;

	if (bpf_core_field_exists(struct mount___from_6_18, mnt_next_for_sb))
		return BPF_CORE_READ(new, s_mounts);
	first = BPF_CORE_READ(old, s_mounts.next);
	if (!first || first == (void *)sb + bpf_core_field_offset(struct super_block___to_6_17, s_mounts))
		return NULL;
	return first - bpf_core_field_offset(struct mount___to_6_17, mnt_instance);
}

static __always_inline struct mount *next_mount(struct mount *mount)
{
	struct mount___from_6_18 *new = (void *)mount;
	struct mount___to_6_17 *old = (void *)mount;
	struct super_block *sb;
	void *next;

	if (bpf_core_field_exists(struct mount___from_6_18, mnt_next_for_sb))
		return BPF_CORE_READ(new, mnt_next_for_sb);
	next = BPF_CORE_READ(old, mnt_instance.next);
	sb = BPF_CORE_READ(mount, mnt.mnt_root, d_inode, i_sb);
	if (!next || next == (void *)sb + bpf_core_field_offset(struct super_block___to_6_17, s_mounts))
		return NULL;
	return next - bpf_core_field_offset(struct mount___to_6_17, mnt_instance);
}

/* Whether the mount shows this dentry: a bind mount shows a subtree only. */
static __always_inline bool shows(struct mount *mount, struct dentry *dentry)
{
	struct dentry *root = BPF_CORE_READ(mount, mnt.mnt_root), *parent;

	if (root == BPF_CORE_READ(dentry, d_inode, i_sb, s_root))
		return true;
	for (int depth = 0; depth < DEPTH_TRIED; depth++) {
		if (dentry == root)
			return true;
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry)
			return false;
		dentry = parent;
	}
	return false;
}

static long mount_step(__u32 index, struct mount_search *search)
{
	struct mount *mount = search->mount;

	if (!mount)
		return 1;
	if (BPF_CORE_READ(mount, mnt_ns) == search->ns && shows(mount, search->dentry)) {
		search->found = true;
		return 1;
	}
	search->mount = next_mount(mount);
	return 0;
}

/* A path of the dentry in the task's mount namespace; false where no mount there shows it. */
static __always_inline bool find_path(struct task_struct *task, struct dentry *dentry, struct path *path)
{
	struct mount_search search = {
		.dentry = dentry,
		.ns = BPF_CORE_READ(task, nsproxy, mnt_ns),
		.mount = first_mount(BPF_CORE_READ(dentry, d_inode, i_sb)),
	};

	bpf_loop(MOUNTS_TRIED, mount_step, &search, 0);
	if (!search.found)
		return false;
	path->mnt = (void *)search.mount + bpf_core_field_offset(struct mount, mnt);
	path->dentry = dentry;
	return true;
}
