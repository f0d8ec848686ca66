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

/*
 * Where a node's parent stands. Asked for once and behind barriers: drawn out of a loop, or turned into a choice between
 * two loads, the one of the field this kernel lacks would be executed, and the program refused.
 */
static __always_inline __u32 kernfs_parent_at(void)
{
	__u32 at;

	if (bpf_core_field_exists(struct kernfs_node___from_6_15, __parent)) {
		at = bpf_core_field_offset(struct kernfs_node___from_6_15, __parent);
		barrier_var(at);
	} else {
		at = bpf_core_field_offset(struct kernfs_node___to_6_14, parent);
		barrier_var(at);
	}
	return at;
}

struct cgroup_scratch {
	struct kernfs_node *nodes[CGROUP_LEVELS];
	/* The slack lets the verifier see that one name always fits. */
	char bytes[CGROUP_PATH_BYTES + CGROUP_NAME_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct cgroup_scratch);
} cgroup_scratches SEC(".maps");

struct cgroup_walk {
	struct kernfs_node *node;
	__u32 parent_at;
	__u32 slot;
	__u32 depth;
	__u32 length;
};

/* From the innermost node up; the root has no name. */
static long collect_node(__u32 index, struct cgroup_walk *walk)
{
	struct cgroup_scratch *scratch = bpf_map_lookup_elem(&cgroup_scratches, &walk->slot);
	struct kernfs_node *node = walk->node, *parent = NULL;

	if (!scratch || !node)
		return 1;
	bpf_probe_read_kernel(&parent, sizeof(parent), (void *)node + walk->parent_at);
	if (!parent)
		return 1;
	scratch->nodes[index & (CGROUP_LEVELS - 1)] = node;
	walk->depth = index + 1;
	walk->node = parent;
	return 0;
}

/* From the outermost node down. */
static long append_node(__u32 index, struct cgroup_walk *walk)
{
	struct cgroup_scratch *scratch = bpf_map_lookup_elem(&cgroup_scratches, &walk->slot);
	struct kernfs_node *node;
	__u32 at = walk->length;
	long copied;

	if (!scratch || index >= walk->depth || at >= CGROUP_PATH_BYTES - CGROUP_NAME_BYTES)
		return 1;
	at &= CGROUP_PATH_BYTES - 1;
	scratch->bytes[at] = '/';
	node = scratch->nodes[(walk->depth - 1 - index) & (CGROUP_LEVELS - 1)];
	copied = bpf_probe_read_kernel_str(&scratch->bytes[at + 1], CGROUP_NAME_BYTES - 1, BPF_CORE_READ(node, name));
	walk->length = at + (copied > 0 ? copied : 1);
	return 0;
}

/*
 * Writes the cgroup's path within its hierarchy to dst (CGROUP_PATH_BYTES), from the outermost name on; of a deeper one
 * than CGROUP_LEVELS its end. slot as in read_path.
 */
static __always_inline __u32 read_cgroup_path(struct cgroup *cgroup, char *dst, __u32 slot)
{
	struct cgroup_walk walk = {
		.node = BPF_CORE_READ(cgroup, kn),
		.parent_at = kernfs_parent_at(),
		.slot = slot,
	};
	struct cgroup_scratch *scratch = bpf_map_lookup_elem(&cgroup_scratches, &slot);
	__u32 length;

	if (!scratch)
		return 0;
	bpf_loop(CGROUP_LEVELS, collect_node, &walk, 0);
	bpf_loop(CGROUP_LEVELS, append_node, &walk, 0);
	length = walk.length & (CGROUP_PATH_BYTES - 1);
	if (length == 0) {
		dst[0] = '/';
		return 1;
	}
	bpf_probe_read_kernel(dst, length, scratch->bytes);
	return length;
}
