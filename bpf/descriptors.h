/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* What a task has open. */
#pragma once
#include "kernel.h"

/* NULL where the task has no such descriptor. */
static __always_inline struct file *open_file(struct task_struct *task, __u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **slots = BPF_CORE_READ(table, fd);
	struct file *file = NULL;

	if (fd < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), &slots[fd]);
	return file;
}
