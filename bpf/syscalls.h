/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* In which system call a task is: its number, and what a change of an inode in it amounts to. */
#pragma once
#include "events.h"
#include "kernel.h"
#if defined(__TARGET_ARCH_x86)
#include <asm/unistd_64.h>
#else
#include <asm-generic/unistd.h>
#endif

/* Of a fault there is no number: the kernel writes -1 there (arch/x86/entry/entry_64.S, arch/arm64/kernel/entry.S). */
#define NO_SYSCALL (-1)

/* Younger than the headers of Debian 12; these have one number everywhere. */
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
#ifndef __NR_setxattrat
#define __NR_setxattrat 463
#define __NR_removexattrat 466
#endif
#ifndef __NR_file_setattr
#define __NR_file_setattr 469
#endif

#if defined(__TARGET_ARCH_x86)
/* arch/x86/include/asm/thread_info.h: in a system call of 32 bits */
#define TS_COMPAT 0x0002u

struct pt_regs___syscall {
	unsigned long orig_ax;
	unsigned long di;
	unsigned long si;
	unsigned long dx;
	unsigned long r10;
} __attribute__((preserve_access_index));

struct thread_info___status {
	__u32 status;
} __attribute__((preserve_access_index));

struct task_struct___x86 {
	struct thread_info___status thread_info;
} __attribute__((preserve_access_index));

static __always_inline __s64 current_syscall(struct task_struct *task)
{
	struct task_struct___x86 *own = (void *)task;

	if (BPF_CORE_READ(own, thread_info.status) & TS_COMPAT)
		return NO_SYSCALL;
	return BPF_CORE_READ((struct pt_regs___syscall *)bpf_task_pt_regs(task), orig_ax);
}

static __always_inline __u64 first_argument(struct task_struct *task)
{
	return BPF_CORE_READ((struct pt_regs___syscall *)bpf_task_pt_regs(task), di);
}

static __always_inline const char *second_argument(struct task_struct *task)
{
	return (void *)BPF_CORE_READ((struct pt_regs___syscall *)bpf_task_pt_regs(task), si);
}

static __always_inline __u64 third_argument(struct task_struct *task)
{
	return BPF_CORE_READ((struct pt_regs___syscall *)bpf_task_pt_regs(task), dx);
}

static __always_inline const char *fourth_argument(struct task_struct *task)
{
	return (void *)BPF_CORE_READ((struct pt_regs___syscall *)bpf_task_pt_regs(task), r10);
}
#else
struct pt_regs___syscall {
	__u64 regs[31];
	__u64 orig_x0;
	__s32 syscallno;
} __attribute__((preserve_access_index));

static __always_inline __s64 current_syscall(struct task_struct *task)
{
	return BPF_CORE_READ((struct pt_regs___syscall *)bpf_task_pt_regs(task), syscallno);
}

static __always_inline __u64 first_argument(struct task_struct *task)
{
	return BPF_CORE_READ((struct pt_regs___syscall *)bpf_task_pt_regs(task), orig_x0);
}

static __always_inline const char *second_argument(struct task_struct *task)
{
	return (void *)BPF_CORE_READ((struct pt_regs___syscall *)bpf_task_pt_regs(task), regs[1]);
}

static __always_inline __u64 third_argument(struct task_struct *task)
{
	return BPF_CORE_READ((struct pt_regs___syscall *)bpf_task_pt_regs(task), regs[2]);
}

static __always_inline const char *fourth_argument(struct task_struct *task)
{
	return (void *)BPF_CORE_READ((struct pt_regs___syscall *)bpf_task_pt_regs(task), regs[3]);
}
#endif

/*
 * What a change of times in this system call says: what only touches names or attributes is told by its number, and
 * whatever else moves the ctime wrote content (write and all its kin, splice, copy_file_range, fallocate, io_uring, a
 * fault in a shared mapping, also one taken inside read). Of a 32-bit caller, whose numbers are others, all is writing, and so
 * is what io_uring does: the registers of its threads are those of their start.
 */
static __always_inline __u32 action_of(__s64 syscall)
{
	switch (syscall) {
#ifdef __NR_open
	case __NR_open:
	case __NR_creat:
#endif
	case __NR_openat:
	case __NR_openat2:
	case __NR_truncate:
	case __NR_ftruncate:
		return BT_ACTION_TRUNCATED;
#ifdef __NR_chmod
	case __NR_chmod:
#endif
	case __NR_fchmod:
	case __NR_fchmodat:
	case __NR_fchmodat2:
		return BT_ACTION_MODE;
#ifdef __NR_rename
	case __NR_rename:
#endif
#ifdef __NR_renameat
	case __NR_renameat:
#endif
	case __NR_renameat2:
		return BT_ACTION_RENAMED;
#ifdef __NR_link
	case __NR_link:
#endif
	case __NR_linkat:
		return BT_ACTION_LINKED;
#ifdef __NR_unlink
	case __NR_unlink:
#endif
	case __NR_unlinkat:
		return BT_ACTION_UNLINKED;
	/* Owner, times, extended attributes, inode flags: no content and no name. */
#ifdef __NR_chown
	case __NR_chown:
	case __NR_lchown:
	case __NR_utime:
	case __NR_utimes:
	case __NR_futimesat:
#endif
	case __NR_fchown:
	case __NR_fchownat:
	case __NR_utimensat:
	case __NR_setxattr:
	case __NR_lsetxattr:
	case __NR_fsetxattr:
	case __NR_removexattr:
	case __NR_lremovexattr:
	case __NR_fremovexattr:
	case __NR_setxattrat:
	case __NR_removexattrat:
	case __NR_file_setattr:
		return BT_ACTION_UNKNOWN;
	default:
		return BT_ACTION_WRITTEN;
	}
}

/* The new name as it was given to rename or link; NULL elsewhere. */
static __always_inline const char *target_of(struct task_struct *task, __s64 syscall)
{
	switch (syscall) {
#ifdef __NR_rename
	case __NR_rename:
	case __NR_link:
		return second_argument(task);
#endif
#ifdef __NR_renameat
	case __NR_renameat:
#endif
	case __NR_renameat2:
	case __NR_linkat:
		return fourth_argument(task);
	default:
		return NULL;
	}
}

/* The descriptor that is written to, if the system call is one that writes to a descriptor. */
static __always_inline __u32 written_descriptor(struct task_struct *task, __s64 syscall)
{
	if (syscall == __NR_splice || syscall == __NR_copy_file_range)
		return (__u32)third_argument(task);
	return (__u32)first_argument(task);
}
