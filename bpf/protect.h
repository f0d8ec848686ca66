/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Files that mprotect() makes executable after they were mapped: nothing is stored in the tree then, and no helper finds a
 * mapping while its lock is held. mprotect -> mmap_write_unlock -> trace_mmap_lock_released, when the flags are set and the
 * lock still keeps the tree as it is; so the tree is walked here (lib/maple_tree.c, mtree_range_walk). Before 6.13 that
 * tracepoint looks up the name of a cgroup each time, which is too dear.
 */
#pragma once
#include "loads.h"
#include "syscalls.h"

#define PROT_EXEC 4
/* Of so many mappings that one call changes the file is looked at. */
#define PROTECTED_TRIED 4
/* A tree of a million mappings has six levels. */
#define TREE_DEPTH 7
#define MAPLE_LEAF_64 1
#define MAPLE_ARANGE_64 3
#define MAX_SLOTS 16
/*
 * include/linux/maple_tree.h, lib/maple_tree.c: nodes are 256 bytes; a pointer to one has its type in the low bits, and
 * that to the root a tag as well.
 */
#define NODE_MASK 255ul
#define NODE_TYPE_SHIFT 3
#define NODE_TYPE_MASK 15
#define ROOT_TAG 2

/* The slot of a node that holds `index`; NULL when it is empty. Pivots are the last index of each slot, 0 behind the last. */
static __always_inline void *slot_of(unsigned long tagged, unsigned long index)
{
	void *node = (void *)(tagged & ~NODE_MASK), *slot = NULL;
	bool is_arange = ((tagged >> NODE_TYPE_SHIFT) & NODE_TYPE_MASK) == MAPLE_ARANGE_64;
	__u32 pivots = is_arange ? bpf_core_field_size(struct maple_arange_64, pivot) : bpf_core_field_size(struct maple_range_64, pivot);
	__u32 pivots_at = is_arange ? bpf_core_field_offset(struct maple_arange_64, pivot) :
				      bpf_core_field_offset(struct maple_range_64, pivot);
	__u32 slots_at = is_arange ? bpf_core_field_offset(struct maple_arange_64, slot) :
				     bpf_core_field_offset(struct maple_range_64, slot);
	__u32 at;

	for (at = 0; at < MAX_SLOTS && at < pivots / sizeof(long); at++) {
		unsigned long pivot = 0;

		bpf_probe_read_kernel(&pivot, sizeof(pivot), node + pivots_at + at * sizeof(pivot));
		if (index <= pivot || (at && !pivot))
			break;
	}
	bpf_probe_read_kernel(&slot, sizeof(slot), node + slots_at + at * sizeof(slot));
	return slot;
}

struct tree_walk {
	unsigned long tagged;
	unsigned long index;
	struct vm_area_struct *found;
};

static long walk_level(__u32 level, struct tree_walk *walk)
{
	void *entry = slot_of(walk->tagged, walk->index);

	if (((walk->tagged >> NODE_TYPE_SHIFT) & NODE_TYPE_MASK) <= MAPLE_LEAF_64) {
		walk->found = entry;
		return 1;
	}
	walk->tagged = (unsigned long)entry;
	return !entry;
}

/* The mapping at an address of a locked mm. A tree of a single mapping has no node, and no program so few. */
static __always_inline struct vm_area_struct *mapping_at(struct mm_struct *mm, unsigned long address)
{
	struct tree_walk walk = { .tagged = (unsigned long)BPF_CORE_READ(mm, mm_mt.ma_root), .index = address };

	if ((walk.tagged & INTERNAL_ENTRY) == ROOT_TAG)
		bpf_loop(TREE_DEPTH, walk_level, &walk, 0);
	return walk.found;
}


/* Read without a helper, as every unlock asks. A number of 32 bits that is the same finds no mapping to tell of. */
static __always_inline bool is_protecting(struct task_struct *task)
{
	struct pt_regs___syscall *regs = (void *)bpf_task_pt_regs(task);
#if defined(__TARGET_ARCH_x86)
	__s64 syscall = regs->orig_ax;
#else
	__s64 syscall = regs->syscallno;
#endif

	return syscall == __NR_mprotect || syscall == __NR_pkey_mprotect;
}

SEC("?tp_btf/mmap_lock_released")
int BPF_PROG(on_protect, struct mm_struct *mm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct vm_area_struct *vma;
	unsigned long at, to;
	struct file *file;

	if (!is_protecting(task))
		return 0;
	if (!(third_argument(task) & PROT_EXEC) || task->mm != mm)
		return 0;
	at = first_argument(task);
	to = at + (unsigned long)second_argument(task);
	for (int tried = 0; tried < PROTECTED_TRIED && at < to; tried++) {
		vma = mapping_at(mm, at);
		if (!vma)
			return 0;
		file = BPF_CORE_READ(vma, vm_file);
		if (file && (BPF_CORE_READ(vma, vm_flags) & VM_EXEC) && !is_program(mm, file))
			return take_mapping(task, vma, file);
		at = BPF_CORE_READ(vma, vm_end);
	}
	return 0;
}
