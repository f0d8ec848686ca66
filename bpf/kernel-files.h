/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* The kernel's types of files, their names and their mappings; see kernel.h. */
#pragma once
#include <linux/types.h>

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
	struct inode *host;
	struct rb_root_cached i_mmap;
};

/* include/linux/mm.h */
#define VM_EXEC 4ul

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
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
	__s64 i_atime_sec;
	__s64 i_mtime_sec;
	__s64 i_ctime_sec;
	__u32 i_atime_nsec;
	__u32 i_mtime_nsec;
	__u32 i_ctime_nsec;
};

struct inode___from_6_6 {
	struct timespec64 __i_ctime;
};

struct inode___from_6_7 {
	struct timespec64 __i_atime;
	struct timespec64 __i_mtime;
};

struct inode___to_6_6 {
	struct timespec64 i_atime;
	struct timespec64 i_ctime;
	struct timespec64 i_mtime;
};

struct iattr {
	unsigned int ia_valid;
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
	unsigned int f_flags;
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

#pragma clang attribute pop
