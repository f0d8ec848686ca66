/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Which program image a task runs, and which one started it. Kept on the task, taken at the fork: real_parent changes
 * when a parent dies, and a child that has only forked still runs its parent's image.
 */
#pragma once
#include "kernel.h"

struct image {
	__u64 start_ns;
	__u32 pid;
	__u32 self_exec_id;
};

/* Whose a record is: the fields of execIdentity (schemas/src/field.ts), which have these names in all of them. */
#define set_image(record, image)                                      \
	do {                                                          \
		(record)->pid = (image).pid;                          \
		(record)->self_exec_id = (image).self_exec_id;        \
		(record)->start_ns = (image).start_ns;                \
	} while (0)

struct lineage {
	struct image self;
	struct image parent;
	__u32 ppid;
	/* The file this task mapped last for execution, and in which image: one library is several mappings. */
	__u32 mapped_by;
	__u64 mapped;
	/* Of an interpreter that has not read its script yet: reads that are still looked at. See scripts.h. */
	__u32 reads_left;
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct lineage);
} lineages SEC(".maps");

static __always_inline struct image own_image(struct task_struct *task)
{
	struct image image = {
		.start_ns = BPF_CORE_READ(task, group_leader, start_boottime),
		.pid = BPF_CORE_READ(task, tgid),
		.self_exec_id = BPF_CORE_READ(task, self_exec_id),
	};
	return image;
}

/* What can be said of a task that was there before the probe: its parent as it is now, with the image it forked from. */
static __always_inline struct lineage guess_lineage(struct task_struct *task)
{
	struct lineage guess = { .self = own_image(task) };
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);

	guess.parent = own_image(parent);
	guess.ppid = guess.parent.pid;
	return guess;
}

/* Not inlined, for the room on the stack. */
static __noinline struct lineage *guessed_lineage(struct task_struct *task)
{
	struct lineage guess = guess_lineage(task);

	return bpf_task_storage_get(&lineages, task, &guess, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline struct lineage *task_lineage(struct task_struct *task)
{
	struct lineage *known = bpf_task_storage_get(&lineages, task, NULL, 0);

	return known ? known : guessed_lineage(task);
}
