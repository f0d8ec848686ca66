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

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct qstr {
	__u32 len;
	const unsigned char *name;
};

struct file_system_type {
	int fs_flags;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct list_head {
	struct list_head *next;
};

struct rb_node {
	struct rb_node *rb_right;
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
};

struct address_space {
	struct rb_root_cached i_mmap;
};

/* include/linux/mm.h */
#define VM_EXEC 4ul

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
	struct file *vm_file;
	struct {
		struct rb_node rb;
	} shared;
};

struct mount;

struct super_block {
	__u32 s_dev;
	unsigned long s_flags;
	unsigned long s_magic;
	struct file_system_type *s_type;
	struct dentry *s_root;
};

struct super_block___from_6_18 {
	struct mount *s_mounts;
};

struct super_block___to_6_17 {
	struct list_head s_mounts;
};

struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
};

struct inode {
	__u16 i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	const unsigned int i_nlink;
	__s64 i_size;
	__u32 i_generation;
	atomic_t i_writecount;
	struct hlist_head i_dentry;
	struct address_space *i_mapping;
};

struct inode___from_6_11 {
	__s64 i_mtime_sec;
	__s64 i_ctime_sec;
	__u32 i_mtime_nsec;
	__u32 i_ctime_nsec;
};

struct inode___from_6_6 {
	struct timespec64 __i_ctime;
};

struct inode___from_6_7 {
	struct timespec64 __i_mtime;
};

struct inode___to_6_6 {
	struct timespec64 i_ctime;
	struct timespec64 i_mtime;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	union {
		struct hlist_node d_alias;
	} d_u;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mnt_namespace;

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
};

struct mount___from_6_18 {
	struct mount *mnt_next_for_sb;
};

struct mount___to_6_17 {
	struct list_head mnt_instance;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	unsigned int f_mode;
	struct path f_path;
	struct inode *f_inode;
};

/* The file of another filesystem behind an overlay's; user_path is where the user sees it (Linux 6.8). */
struct backing_file {
	struct file file;
	struct path user_path;
};

struct ovl_path {
	struct dentry *dentry;
};

struct ovl_entry___from_6_5 {
	struct ovl_path __lowerstack[0];
};

struct ovl_inode___from_6_5 {
	struct inode vfs_inode;
	struct dentry *__upperdentry;
	struct ovl_entry___from_6_5 *oe;
};

struct ovl_inode___to_6_4 {
	struct inode vfs_inode;
	struct dentry *__upperdentry;
	struct ovl_path lowerpath;
};

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
};

struct ma_state {
	struct maple_tree *tree;
};

struct mm_struct {
	struct maple_tree mm_mt;
	unsigned long arg_start;
	unsigned long arg_end;
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

#pragma clang attribute pop
