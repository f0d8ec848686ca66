/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Scripts that nobody executes: an interpreter opens and reads them like any file (sh x.sh, python3 x.py). Its reads are
 * looked at from its exec on (interpreters.h), until one is of a file that an argument names.
 * read: filemap_read -> filemap_get_pages -> trace_mm_filemap_get_pages (Linux 6.12), with the mapping that is read. Where
 * that is not called, on tmpfs and before, shells still have their script open when they first fork, or end.
 */
#pragma once
#include "interpreters.h"

/* Where shells keep it: 10 and up (dash, busybox), 255 (bash); the others where it was opened. */
#define FIRST_SCRIPT_FD 3
#define HIGH_SCRIPT_FD 255
#define OPEN_TRIED 16
/* What one look at them counts for among the reads that are watched. */
#define READS_A_LOOK 64

struct script_scratch {
	struct bt_script_read told;
	char path[PATH_BYTES];
	char name[NAME_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct script_scratch);
} script_scratches SEC(".maps");

struct name_scan {
	__u32 hash;
	__u32 length;
};

static long scan_name(__u32 index, struct name_scan *scan)
{
	__u32 zero = 0;
	struct script_scratch *s = bpf_map_lookup_elem(&script_scratches, &zero);

	if (!s || index >= scan->length)
		return 1;
	scan->hash = (scan->hash ^ (unsigned char)s->name[index & (NAME_BYTES - 1)]) * FNV_PRIME;
	return 0;
}

static __always_inline bool is_read(__s64 syscall)
{
	return syscall == __NR_read || syscall == __NR_pread64 || syscall == __NR_readv;
}

/* Whether an argument ends with the name of this file. */
static __always_inline bool is_named(struct script_scratch *s, struct task_struct *task, struct file *file)
{
	struct words *words = bpf_task_storage_get(&named_words, task, NULL, 0);
	struct name_scan scan = { FNV_OFFSET, BPF_CORE_READ(file, f_path.dentry, d_name.len) };
	bool is_as_long = false;

	if (!words || scan.length >= NAME_BYTES)
		return false;
	for (int at = 0; at < MAX_WORDS; at++)
		is_as_long |= words->at[at].length == scan.length;
	if (!is_as_long)
		return false;
	bpf_probe_read_kernel(s->name, scan.length & (NAME_BYTES - 1), BPF_CORE_READ(file, f_path.dentry, d_name.name));
	bpf_loop(NAME_BYTES, scan_name, &scan, 0);
	for (int at = 0; at < MAX_WORDS; at++)
		if (words->at[at].length == scan.length && words->at[at].hash == scan.hash)
			return true;
	return false;
}

static __always_inline void tell_script(struct script_scratch *s, struct task_struct *task, struct file *file, __u64 fd,
					 bool is_opened)
{
	struct image image = own_image(task);
	struct path path;

	number_record(&s->told.record, BT_SCRIPT_READ, RING_CODE);
	set_image(&s->told, image);
	s->told.fd = fd;
	s->told.opened = is_opened;
	describe_file(file, &s->told.file);
	BPF_CORE_READ_INTO(&path, file, f_path);
	s->told.path_len = read_path(&path, s->path, SLOT_INTERPRETED, &s->told.file.flags) & (PATH_BYTES - 1);
	send_record(&s->told.record, sizeof(s->told) + s->told.path_len, RING_CODE);
}

/* The file of the read(2) that an interpreter is in; NULL unless its script is still looked for. */
static __always_inline struct file *file_being_read(struct task_struct *task, struct lineage *lineage, __u64 *fd)
{
	struct file *file;

	if (!is_read(current_syscall(task)))
		return NULL;
	lineage->reads_left--;
	*fd = (__u32)first_argument(task);
	/* Standard input was told of at the exec. */
	if (!*fd)
		return NULL;
	file = open_file(task, *fd);
	return file && (BPF_CORE_READ(file, f_inode, i_mode) & FILE_TYPE) == REGULAR_FILE ? file : NULL;
}

static __always_inline int take_read(struct task_struct *task, struct lineage *lineage, struct file *file, __u64 fd)
{
	__u32 zero = 0;
	struct script_scratch *s = bpf_map_lookup_elem(&script_scratches, &zero);

	if (!s || !is_named(s, task, file))
		return 0;
	lineage->reads_left = 0;
	watched[task->tgid & (MAX_WATCHED - 1)] = 0;
	tell_script(s, task, file, fd, false);
	return 0;
}

SEC("?tp_btf/mm_filemap_get_pages")
int BPF_PROG(on_read, struct address_space *mapping)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct inode *inode, *read;
	struct lineage *lineage;
	struct file *file;
	__u32 unused = 0;
	__u64 fd;

	if (watched[task->tgid & (MAX_WATCHED - 1)] != task->tgid)
		return 0;
	lineage = bpf_task_storage_get(&lineages, task, NULL, 0);
	if (!lineage || !lineage->reads_left)
		return 0;
	file = file_being_read(task, lineage, &fd);
	if (!file)
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	read = BPF_CORE_READ(mapping, host);
	/* What is read is the descriptor's file: no other thread has put another one there meanwhile. */
	if (inode != read && !(is_overlay(inode) && overlay_real_inode(inode, &unused) == read))
		return 0;
	return take_read(task, lineage, file, fd);
}

struct open_search {
	bool found;
};

static long look_at_open(__u32 index, struct open_search *search)
{
	__u32 zero = 0, fd = index == OPEN_TRIED - 1 ? HIGH_SCRIPT_FD : FIRST_SCRIPT_FD + index;
	struct script_scratch *s = bpf_map_lookup_elem(&script_scratches, &zero);
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file = open_file(task, fd);

	if (!s)
		return 1;
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & FILE_TYPE) != REGULAR_FILE || !is_named(s, task, file))
		return 0;
	tell_script(s, task, file, fd, true);
	search->found = true;
	return 1;
}

/* The current task forks or ends: the script may be open that nobody saw being read. */
static __always_inline void take_open(struct lineage *lineage)
{
	struct open_search search = {};

	if (!lineage->reads_left)
		return;
	bpf_loop(OPEN_TRIED, look_at_open, &search, 0);
	if (search.found || lineage->reads_left < READS_A_LOOK)
		lineage->reads_left = 0;
	else
		lineage->reads_left -= READS_A_LOOK;
}
