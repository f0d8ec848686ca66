/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Canonical paths by dentry walk, up to the root of the mount namespace: a chroot is shown with its full path, so that
 * its files are not taken for the host's; a container's pivoted root is its namespace's root.
 */
#pragma once
#include "kernel.h"

#define PATH_BYTES 4096u
#define NAME_BYTES 256u
/* Each step is one name or one mount crossing; a longer path is cut at its front and flagged. */
#define PATH_STEPS 512

struct path_scratch {
	/* Filled from the back; the slack lets the verifier see that one name always fits. */
	char bytes[PATH_BYTES + NAME_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct path_scratch);
} path_scratches SEC(".maps");

struct path_walk {
	struct dentry *dentry;
	struct mount *mount;
	__u32 slot;
	__u32 pos;
	bool truncated;
};

static long path_step(__u32 index, struct path_walk *walk)
{
	struct path_scratch *scratch = bpf_map_lookup_elem(&path_scratches, &walk->slot);
	struct dentry *dentry = walk->dentry, *parent;
	struct mount *mount = walk->mount, *above;
	__u32 length, pos = walk->pos;

	if (!scratch)
		return 1;
	if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
		above = BPF_CORE_READ(mount, mnt_parent);
		if (above == mount)
			return 1;
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = above;
		return 0;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry)
		return 1;
	length = BPF_CORE_READ(dentry, d_name.len);
	if (length >= NAME_BYTES || length + 1 > pos) {
		walk->truncated = true;
		return 1;
	}
	pos -= length;
	bpf_probe_read_kernel(&scratch->bytes[pos & (PATH_BYTES - 1)], length & (NAME_BYTES - 1),
			      BPF_CORE_READ(dentry, d_name.name));
	pos -= 1;
	scratch->bytes[pos & (PATH_BYTES - 1)] = '/';
	walk->pos = pos;
	walk->dentry = parent;
	return 0;
}

/*
 * Writes the path of (mount, dentry) to dst, at most PATH_BYTES - 1 bytes, and returns its length. A file on no mount
 * of this process (memfd) is shown by its bare name. slot keeps callers that may interrupt each other apart.
 */
static __always_inline __u32 read_path(struct path *path, void *dst, __u32 slot, __u32 *flags)
{
	struct path_walk walk = {
		.dentry = BPF_CORE_READ(path, dentry),
		.mount = container_of(BPF_CORE_READ(path, mnt), struct mount, mnt),
		.slot = slot,
		.pos = PATH_BYTES - 1,
	};
	struct path_scratch *scratch = bpf_map_lookup_elem(&path_scratches, &slot);
	__u32 length, pos;

	if (!scratch)
		return 0;
	bpf_loop(PATH_STEPS, path_step, &walk, 0);
	if (walk.truncated || walk.pos > PATH_BYTES - 1)
		*flags |= BT_FLAG_TRUNCATED_PATH;
	pos = walk.pos & (PATH_BYTES - 1);
	length = PATH_BYTES - 1 - pos;
	if (length == 0) {
		/* The root itself, or a file whose only name is its own (memfd). */
		struct dentry *dentry = BPF_CORE_READ(path, dentry);
		__u32 name = BPF_CORE_READ(dentry, d_name.len);

		length = name < NAME_BYTES ? name : NAME_BYTES - 1;
		bpf_probe_read_kernel(dst, length & (NAME_BYTES - 1), BPF_CORE_READ(dentry, d_name.name));
		return length & (NAME_BYTES - 1);
	}
	bpf_probe_read_kernel(dst, length & (PATH_BYTES - 1), &scratch->bytes[pos]);
	return length & (PATH_BYTES - 1);
}
