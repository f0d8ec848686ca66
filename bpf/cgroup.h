/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The cgroup that tells workloads apart: the unified hierarchy's if the task is not in its root, else that of the pids
 * controller, else memory's. On a hybrid host everything outside containers stands in the unified root.
 */
#pragma once
#include "kernel.h"

#define CGROUP_PATH_BYTES 1024u
#define CGROUP_LEVELS 16
#define CGROUP_NAME_BYTES 256u

static __always_inline struct cgroup *task_cgroup(struct task_struct *task)
{
	struct css_set *css = BPF_CORE_READ(task, cgroups);
	struct cgroup *unified = BPF_CORE_READ(css, dfl_cgrp), *found;
	struct cgroup_subsys_state *state;

	if (BPF_CORE_READ(unified, level) > 0)
		return unified;
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) {
		bpf_core_read(&state, sizeof(state), &css->subsys[bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id) & 15]);
		found = BPF_CORE_READ(state, cgroup);
		if (found && BPF_CORE_READ(found, level) > 0)
			return found;
	}
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
		bpf_core_read(&state, sizeof(state), &css->subsys[bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id) & 15]);
		found = BPF_CORE_READ(state, cgroup);
		if (found && BPF_CORE_READ(found, level) > 0)
			return found;
	}
	return unified;
}

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	struct kernfs_node___from_6_15 *new = (void *)node;

	if (bpf_core_field_exists(new->__parent))
		return BPF_CORE_READ(new, __parent);
	return BPF_CORE_READ((struct kernfs_node___to_6_14 *)node, parent);
}

/* Writes the cgroup's path within its hierarchy to dst (CGROUP_PATH_BYTES), from the outermost name on. */
static __always_inline __u32 read_cgroup_path(struct cgroup *cgroup, char *dst)
{
	struct kernfs_node *nodes[CGROUP_LEVELS];
	struct kernfs_node *node = BPF_CORE_READ(cgroup, kn);
	__u32 length = 0;

	for (int level = 0; level < CGROUP_LEVELS; level++) {
		struct kernfs_node *parent = node ? kernfs_parent(node) : NULL;

		nodes[level] = parent ? node : NULL;
		node = parent;
	}
	for (int level = CGROUP_LEVELS - 1; level >= 0; level--) {
		__u64 copied;

		/* The mask tells the verifier what the check before it already ensured. */
		if (!nodes[level] || length >= CGROUP_PATH_BYTES - CGROUP_NAME_BYTES)
			continue;
		length &= CGROUP_PATH_BYTES - 1;
		dst[length] = '/';
		copied = bpf_probe_read_kernel_str(dst + length + 1, CGROUP_NAME_BYTES, BPF_CORE_READ(nodes[level], name));
		length += copied <= CGROUP_NAME_BYTES ? copied : 1;
	}
	if (length == 0) {
		dst[0] = '/';
		length = 1;
	}
	return length;
}
