/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * How a task names a file that it changes through an overlay: the change is made to the real file below, which its mount
 * namespace may not show at all.
 */
#pragma once
#include "descriptors.h"
#include "identity.h"
#include "mounts.h"
#include "syscalls.h"

/* The overlay's own names of what a task is about to change, from the hooks on the way down to the real file. */
struct overlay_names {
	struct dentry *from;
	/* Of a rename, what stands at the new name. */
	struct dentry *to;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct overlay_names);
} overlay_names SEC(".maps");

static __always_inline void note_overlay_name(struct dentry *dentry, bool is_target)
{
	struct overlay_names *noted =
		bpf_task_storage_get(&overlay_names, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (noted && is_target)
		noted->to = dentry;
	else if (noted)
		noted->from = dentry;
}

static __always_inline bool shows_real(struct inode *shown, struct inode *real)
{
	__u32 unused = 0;

	return shown && is_overlay(shown) && overlay_real_inode(shown, &unused) == real;
}

/* The overlay's inode of this real one and where the task sees it; the real one and no dentry where that is not known. */
static __always_inline struct inode *shown_by_overlay(struct task_struct *task, struct inode *real, struct path *path)
{
	struct overlay_names *noted = bpf_task_storage_get(&overlay_names, task, NULL, 0);
	struct dentry *name = noted ? noted->from : NULL;
	struct inode *shown = BPF_CORE_READ(name, d_inode);
	struct file *file;

	if (noted && !shows_real(shown, real)) {
		name = noted->to;
		shown = BPF_CORE_READ(name, d_inode);
	}
	if (name && shows_real(shown, real) && find_path(task, name, path))
		return shown;
	file = open_file(task, written_descriptor(task, current_syscall(task)));
	shown = file ? BPF_CORE_READ(file, f_inode) : NULL;
	if (shows_real(shown, real)) {
		BPF_CORE_READ_INTO(path, file, f_path);
		return shown;
	}
	path->dentry = NULL;
	return real;
}
