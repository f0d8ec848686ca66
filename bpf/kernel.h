/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The few kernel types the programs read, with only the members they read: CO-RE finds the real offsets when the
 * object is loaded (https://docs.kernel.org/bpf/libbpf/libbpf_overview.html). Names after ___ are older or newer
 * shapes of the same struct.
 */
#pragma once
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "kernel-files.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	const char *name;
	__u64 id;
};

struct kernfs_node___from_6_15 {
	struct kernfs_node *__parent;
};

struct kernfs_node___to_6_14 {
	struct kernfs_node *parent;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
};

/* Only the names count: bpf_core_enum_value() asks the running kernel. */
enum cgroup_subsys_id {
	memory_cgrp_id = 4,
	pids_cgrp_id = 11,
};

struct ns_common {
	__u32 inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct pid_namespace {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
};

struct upid {
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	__u32 val;
} kgid_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t euid;
	kgid_t egid;
};

struct maple_tree {
	unsigned int ma_flags;
	void *ma_root;
};

struct maple_range_64 {
	unsigned long pivot[1];
	void *slot[1];
};

struct maple_arange_64 {
	unsigned long pivot[1];
	void *slot[1];
};

struct ma_state {
	struct maple_tree *tree;
};

struct mm_struct {
	struct maple_tree mm_mt;
	unsigned long arg_start;
	unsigned long arg_end;
	unsigned long saved_auxv[2];
	struct file *exe_file;
};


struct fs_struct {
	struct path root;
	struct path pwd;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct signal_struct {
	atomic_t live;
	int group_exit_code;
};

struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	__u64 start_boottime;
	__u64 self_exec_id;
	__u64 parent_exec_id;
	int exit_code;
	unsigned in_execve : 1;
	kuid_t loginuid;
	char comm[16];
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	const struct cred *real_cred;
	const struct cred *cred;
	struct nsproxy *nsproxy;
	struct pid *thread_pid;
	struct css_set *cgroups;
};

struct linux_binprm {
	struct file *file;
	int argc;
	const char *filename;
	const char *interp;
	char buf[256];
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_vma {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct vm_area_struct *vma;
};

#pragma clang attribute pop
