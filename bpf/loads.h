/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Files mapped for execution: libraries, the loader, what dlopen() and mmap(PROT_EXEC) bring in. Every new mapping is
 * stored in the maple tree of its mm, with its file and flags already set (mmap_region -> __mmap_new_vma ->
 * vma_iter_store -> mas_store_prealloc), whatever the width of the system call and whoever made it. A store that is none of
 * ours costs some 60 ns. Not stored anew is a mapping that mprotect() makes executable: see protect.h.
 */
#pragma once
#include "cgroup.h"
#include "emit.h"
#include "identity.h"
#include "lineage.h"
#include "path.h"
#include "uses.h"

/* Of the files users can map, only a real file behind an overlay has it; FMODE_BACKING moved from kernel to kernel. */
#define FMODE_NOACCOUNT (1u << 29)
/* The two low bits mark what a maple tree keeps for itself (include/linux/xarray.h). */
#define INTERNAL_ENTRY 3ul
/* Of the scratches, apart from that of on_map, which may interrupt an iterator. */
#define SLOT_MAPPED 1
#define LOAD_TEXT_BYTES (2 * PATH_BYTES + CGROUP_PATH_BYTES + PATH_BYTES)

struct load_scratch {
	struct bt_mapping mapping;
	char text[LOAD_TEXT_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct load_scratch);
} load_scratches SEC(".maps");

/* Whether this is the program itself, for which its exec stands. On overlay a mapping has the real file, exe_file not. */
static __always_inline bool is_program(struct mm_struct *mm, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode), *program = BPF_CORE_READ(mm, exe_file, f_inode);
	__u32 unused = 0;

	if (inode == program)
		return true;
	return program && is_overlay(program) && overlay_real_inode(program, &unused) == inode;
}

/* Whether this image mapped another file, or none, before: a library is mapped piece by piece. */
static __always_inline bool is_new_to_image(struct lineage *lineage, struct file *file, __u32 self_exec_id)
{
	__u64 inode = (__u64)BPF_CORE_READ(file, f_inode);

	if (lineage->mapped == inode && lineage->mapped_by == self_exec_id)
		return false;
	lineage->mapped = inode;
	lineage->mapped_by = self_exec_id;
	return true;
}

/* Where the user sees a file that is mapped: on overlay not where the real one lies. */
static __always_inline void user_path(struct file *file, struct path *path)
{
	struct backing_file *backing = (void *)file;

	if ((BPF_CORE_READ(file, f_mode) & FMODE_NOACCOUNT) && bpf_core_field_exists(backing->user_path))
		BPF_CORE_READ_INTO(path, backing, user_path);
	else
		BPF_CORE_READ_INTO(path, file, f_path);
}

/* The real inode is what is mapped, also when the overlay has copied it up since; flags are those of its user's path. */
static __always_inline void describe_mapped(struct file *file, struct path *path, struct bt_file *out)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct dentry *dentry = BPF_CORE_READ(path, dentry);
	struct inode *shown = BPF_CORE_READ(dentry, d_inode);

	describe_inode(inode, dentry, out);
	if (shown && shown != inode && is_overlay(shown) && overlay_real_inode(shown, &out->flags) != inode)
		out->flags &= ~BT_FLAG_UPPER_LAYER;
}

static __always_inline void fill_use_key(struct use_key *key, struct bt_mapping *m, struct task_struct *task,
					 struct path *path)
{
	struct file *program = BPF_CORE_READ(task, mm, exe_file);

	key->cgroup_id = BPF_CORE_READ(task_cgroup(task), kn, id);
	key->program_dentry = (__u64)BPF_CORE_READ(program, f_path.dentry);
	key->program_ino = BPF_CORE_READ(program, f_inode, i_ino);
	key->program_generation = BPF_CORE_READ(program, f_inode, i_generation);
	key->dentry = (__u64)path->dentry;
	key->mount = (__u64)path->mnt;
	key->ino = m->file.ino;
	key->ctime_ns = m->file.ctime_ns;
	key->mtime_ns = m->file.mtime_ns;
	key->size = m->file.size;
	key->dev = m->file.dev;
	key->generation = m->file.generation;
	key->uid = m->uid;
	key->writable = m->file.writecount > 0;
	key->role = m->in_exec;
}

/* Such a device number may be another filesystem's a moment later, and without a generation nothing tells them apart. */
static __always_inline bool is_anonymous(struct bt_file *file)
{
	__u32 major = file->dev >> 20;

	return file->generation == 0 && (major == 0 || major == 7);
}

static __always_inline void fill_mapping(struct bt_mapping *m, struct task_struct *task, struct vm_area_struct *vma)
{
	struct image image = own_image(task);

	set_image(m, image);
	m->uid = BPF_CORE_READ(task, cred, uid.val);
	m->mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	m->in_exec = BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
	m->from_address = BPF_CORE_READ(vma, vm_start);
	m->to_address = BPF_CORE_READ(vma, vm_end);
}

/* Appends the texts in the order of schemas/src/mapping.ts; returns their size. */
static __always_inline __u32 fill_load_texts(struct load_scratch *s, struct task_struct *task, struct path *path,
					     __u32 slot)
{
	struct path program;
	__u32 unused = 0, at;

	s->mapping.path_len = read_path(path, s->text, slot, &s->mapping.file.flags) & (PATH_BYTES - 1);
	at = s->mapping.path_len;
	BPF_CORE_READ_INTO(&program, task, mm, exe_file, f_path);
	s->mapping.parent_path_len = read_path(&program, s->text + at, slot, &unused) & (PATH_BYTES - 1);
	at += s->mapping.parent_path_len;
	s->mapping.cgroup_path_len = read_cgroup_path(task_cgroup(task), s->text + at, slot) & (CGROUP_PATH_BYTES - 1);
	return at + s->mapping.cgroup_path_len;
}

/* Tells of a mapping of this task, or counts it. */
static __always_inline int take_mapping(struct task_struct *task, struct vm_area_struct *vma, struct file *file)
{
	struct load_scratch *s;
	struct lineage *lineage;
	struct use_key key = {};
	struct path path;
	__u32 slot = 0, size;

	s = bpf_map_lookup_elem(&load_scratches, &slot);
	lineage = task_lineage(task);
	if (!s || (lineage && !is_new_to_image(lineage, file, BPF_CORE_READ(task, self_exec_id))))
		return 0;
	user_path(file, &path);
	fill_mapping(&s->mapping, task, vma);
	describe_mapped(file, &path, &s->mapping.file);
	fill_use_key(&key, &s->mapping, task, &path);
	if (!is_anonymous(&s->mapping.file) && is_repeat(&key, BT_MAPPING))
		return 0;
	number_record(&s->mapping.record, BT_MAPPING, RING_CODE);
	size = fill_load_texts(s, task, &path, slot);
	if (size > LOAD_TEXT_BYTES)
		return 0;
	if (send_record(&s->mapping.record, sizeof(s->mapping) + size, RING_CODE) && !is_anonymous(&s->mapping.file))
		remember_use(&key, &s->mapping.record);
	return 0;
}

SEC("tp_btf/ma_write")
int BPF_PROG(on_map, const char *caller, struct ma_state *mas, unsigned long pivot, void *entry)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct vm_area_struct *vma = entry;
	struct mm_struct *mm = task->mm;
	struct file *file;

	if (!entry || ((unsigned long)entry & INTERNAL_ENTRY) || !mm || mas->tree != &mm->mm_mt)
		return 0;
	if (!(BPF_CORE_READ(vma, vm_flags) & VM_EXEC))
		return 0;
	file = BPF_CORE_READ(vma, vm_file);
	if (!file || is_program(mm, file))
		return 0;
	return take_mapping(task, vma, file);
}

#define AT_BASE 7
#define AUXV_TRIED 24
#define PAGE_SHIFT 12

/* Whether the kernel itself put this file there, at an address that it told the program: the loader. */
static __always_inline bool is_loader(struct mm_struct *mm, struct vm_area_struct *vma)
{
	unsigned long base = BPF_CORE_READ(vma, vm_start) - (BPF_CORE_READ(vma, vm_pgoff) << PAGE_SHIFT);

	for (int at = 0; at < AUXV_TRIED; at++) {
		unsigned long pair[2] = {};

		bpf_probe_read_kernel(pair, sizeof(pair), (void *)mm + bpf_core_field_offset(struct mm_struct, saved_auxv) + at * sizeof(pair));
		if (pair[0] == AT_BASE)
			return pair[1] == base;
		if (!pair[0])
			break;
	}
	return false;
}

/* Code that was mapped before the hooks were attached, mapping by mapping, in the address order of each process. */
SEC("iter/task_vma")
int mapped_code(struct bpf_iter__task_vma *ctx)
{
	__u32 slot = SLOT_MAPPED, size;
	struct load_scratch *s = bpf_map_lookup_elem(&load_scratches, &slot);
	struct task_struct *task = ctx->task;
	struct vm_area_struct *vma = ctx->vma;
	struct mm_struct *mm;
	struct path path;
	struct file *file;

	if (!s || !task || !vma || task->tgid != task->pid || !(vma->vm_flags & VM_EXEC))
		return 0;
	mm = BPF_CORE_READ(task, mm);
	file = BPF_CORE_READ(vma, vm_file);
	if (!mm || !file || is_program(mm, file))
		return 0;
	user_path(file, &path);
	fill_mapping(&s->mapping, task, vma);
	s->mapping.in_exec = is_loader(mm, vma);
	describe_mapped(file, &path, &s->mapping.file);
	s->mapping.file.flags |= BT_FLAG_SNAPSHOT;
	s->mapping.record.type = BT_MAPPING;
	s->mapping.record.boot_ns = task->start_boottime;
	size = fill_load_texts(s, task, &path, slot);
	if (size <= LOAD_TEXT_BYTES)
		bpf_seq_write(ctx->meta->seq, s, sizeof(s->mapping) + size);
	return 0;
}
