/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Changes to files, in the context of the task that makes them. Notes who wrote what last, and sends a record where code
 * is changed. What tells of them differs: ctime.h where the kernel tells of each ctime it sets, else trampolines.h where
 * it allows BPF trampolines, else dirty.h.
 */
#pragma once
#include "cgroup.h"
#include "emit.h"
#include "mounts.h"
#include "overlay-names.h"
#include "path.h"
#include "syscalls.h"
#include "writers.h"

#define S_IFMT 0170000
#define S_IFREG 0100000
#define S_IXUGO 00111
#define PF_KTHREAD 0x00200000u
#define SLOT_CHANGE 2
#define CHANGE_TEXT_BYTES (2 * PATH_BYTES + CGROUP_PATH_BYTES)
/* Three levels of the tree of mappings, which is ordered by offset: the code lies in the middle of a file. */
#define MAPPINGS_TRIED 15
#define MAPPINGS_SEEN 7

/*
 * What one program image does to one file again and again is told once in this time, with how often it was. In a section
 * of its own, so that user space finds it (services/probe/src/repeat-filter.ts).
 */
SEC(".rodata.filter") const volatile __u64 repeat_after_ns = 10 * NSEC_PER_SEC;

struct change_scratch {
	struct bt_file_event change;
	char text[CHANGE_TEXT_BYTES];
	/* A trampoline may be preempted by another on its CPU, where the kernel preempts itself (CONFIG_PREEMPT). */
	__u32 busy;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct change_scratch);
} change_scratches SEC(".maps");

struct told_key {
	struct image by;
	struct inode_key inode;
	__u32 action;
	__u32 reserved;
};

struct told {
	__u64 sent_ns;
	__u64 ctime_ns;
	__u32 repeats;
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct told_key);
	__type(value, struct told);
} told_changes SEC(".maps");

/* A change below an overlay, until the overlay's own inode says how the task names the file. */
struct unnamed {
	struct inode_key inode;
	__u32 action;
	__u32 repeats;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct unnamed);
} unnamed_changes SEC(".maps");

static __always_inline struct dentry *first_name(struct inode *inode)
{
	void *alias = BPF_CORE_READ(inode, i_dentry.first);

	return alias ? alias - bpf_core_field_offset(struct dentry, d_u.d_alias) : NULL;
}

/*
 * Whether some process has it mapped as code. Read without locks: a mapping that comes or goes meanwhile may be missed. Not
 * inlined, for the room on the stack.
 */
static __noinline bool is_mapped_as_code(struct inode *inode)
{
	struct rb_node *nodes[MAPPINGS_TRIED] = { BPF_CORE_READ(inode, i_mapping, i_mmap.rb_root.rb_node) };

#pragma unroll
	for (int at = 0; at < MAPPINGS_TRIED; at++) {
		struct vm_area_struct *area;
		struct rb_node *node;

		if (!nodes[at])
			continue;
		node = nodes[at];
		area = (void *)node - bpf_core_field_offset(struct vm_area_struct, shared.rb);
		if (BPF_CORE_READ(area, vm_flags) & VM_EXEC)
			return true;
		if (at < MAPPINGS_SEEN) {
			nodes[2 * at + 1] = BPF_CORE_READ(node, rb_left);
			nodes[2 * at + 2] = BPF_CORE_READ(node, rb_right);
		}
	}
	return false;
}

/* False for what was told a moment ago; else how often it was done since. */
static __always_inline bool is_news(struct told_key *key, __u64 ctime_ns, __u32 *repeats)
{
	struct told *told = bpf_map_lookup_elem(&told_changes, key);
	__u64 now = bpf_ktime_get_boot_ns();
	struct told first = { .sent_ns = now, .ctime_ns = ctime_ns };

	*repeats = 0;
	if (!told) {
		bpf_map_update_elem(&told_changes, key, &first, BPF_ANY);
		return true;
	}
	/* One change sets the ctime several times. */
	if (told->ctime_ns == ctime_ns)
		return false;
	told->ctime_ns = ctime_ns;
	told->repeats++;
	if (now - told->sent_ns < repeat_after_ns)
		return false;
	*repeats = told->repeats;
	told->repeats = 0;
	told->sent_ns = now;
	return true;
}

/* What a record is made of. The path has no dentry for a file that cannot be named. */
struct telling {
	struct image by;
	struct inode *inode;
	struct path path;
	__u32 action;
	__u32 repeats;
};

/* Appends the texts in the order of schemas/src/file.ts; returns their size. Not inlined, for the room on the stack. */
static __noinline __u32 fill_change_texts(struct change_scratch *s, struct path *path, struct task_struct *task)
{
	const char *target = target_of(task, current_syscall(task));
	__u32 at = 0;
	long copied = 0;

	if (path->dentry)
		at = read_path(path, s->text, SLOT_CHANGE, &s->change.file.flags) & (PATH_BYTES - 1);
	s->change.path_len = at;
	if (target)
		copied = bpf_probe_read_user_str(s->text + at, PATH_BYTES, target);
	s->change.target_len = copied > 0 ? (copied - 1) & (PATH_BYTES - 1) : 0;
	at += s->change.target_len;
	s->change.cgroup_path_len = read_cgroup_path(task_cgroup(task), s->text + at, SLOT_CHANGE) & (CGROUP_PATH_BYTES - 1);
	return at + s->change.cgroup_path_len;
}

/*
 * A function of its own, of whose argument the verifier takes nothing for known: so it goes through it once for a program,
 * not once for each way there.
 */
__noinline int send_change(struct telling *what)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct inode *inode = what ? what->inode : NULL;
	__u32 zero = 0, at;
	struct change_scratch *s = bpf_map_lookup_elem(&change_scratches, &zero);
	struct dentry *name = first_name(inode);

	if (!what || !s || !name)
		return 0;
	if (s->busy) {
		count_lost_record(BT_FILE);
		return 0;
	}
	s->busy = 1;
	number_record(&s->change.record, BT_FILE, RING_CODE);
	set_image(&s->change, what->by);
	s->change.uid = BPF_CORE_READ(task, real_cred, uid.val);
	s->change.action = what->action;
	s->change.repeats = what->repeats;
	s->change.file_mode = BPF_CORE_READ(inode, i_mode);
	describe_inode(inode, name, &s->change.file);
	if (s->change.file.writecount < 0 || is_mapped_as_code(inode))
		s->change.file.flags |= BT_FLAG_IN_USE;
	at = fill_change_texts(s, &what->path, task);
	if (at <= CHANGE_TEXT_BYTES)
		hand_over(&s->change.record, sizeof(s->change) + at, RING_CODE, true);
	s->busy = 0;
	return 0;
}

/* A task that sees an overlay names the file by it; the overlay follows with its own inode, but for links and faults. */
static __always_inline bool is_named_later(struct task_struct *task, __u32 action)
{
	struct dentry *root = BPF_CORE_READ(task, fs, root.dentry);

	return action != BT_ACTION_LINKED && current_syscall(task) != NO_SYSCALL && is_overlay(BPF_CORE_READ(root, d_inode));
}

static __always_inline void note_unnamed(struct task_struct *task, struct inode_key *key, struct telling *what)
{
	struct unnamed *noted = bpf_task_storage_get(&unnamed_changes, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!noted)
		return;
	noted->inode = *key;
	noted->action = what->action;
	noted->repeats = what->repeats;
}

/* True when `what` is to be sent now. Not inlined, for the room on the stack. */
static __noinline bool is_told(struct task_struct *task, struct dentry *name, struct inode_key *key, struct change *change,
				    struct telling *what)
{
	struct told_key told = { .by = what->by, .inode = *key, .action = change->action };

	if (!name || !is_news(&told, change->ctime_ns, &what->repeats))
		return false;
	if (find_path(task, name, &what->path))
		return true;
	if (tells_ctimes() && is_named_later(task, change->action)) {
		note_unnamed(task, key, what);
		return false;
	}
	what->path.dentry = NULL;
	if (!tells_ctimes())
		what->inode = shown_by_overlay(task, what->inode, &what->path);
	return true;
}

/* A file changes, by a task that user space runs. `name`: one of its names, by which it is told; NULL tells nobody. */
static __always_inline int take_change(struct inode *inode, struct dentry *name, struct change *change)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u16 mode = BPF_CORE_READ(inode, i_mode);
	struct telling what = { .inode = inode, .action = change->action };
	struct lineage *lineage;
	struct inode_key key;

	if ((mode & S_IFMT) != S_IFREG || (BPF_CORE_READ(task, flags) & PF_KTHREAD))
		return 0;
	lineage = task_lineage(task);
	if (!lineage)
		return 0;
	what.by = lineage->self;
	key = inode_key(inode);
	note_writer(&key, &what.by, change);
	if (change->action == BT_ACTION_UNKNOWN)
		return 0;
	if (!(mode & S_IXUGO) && BPF_CORE_READ(inode, i_writecount.counter) >= 0 && !is_mapped_as_code(inode))
		return 0;
	if (is_told(task, name, &key, change, &what))
		send_change(&what);
	return 0;
}

/* The times of a file as they are, where no ctime is told. Not inlined, for the room on the stack. */
static __noinline int read_change(struct inode *inode, struct change *change)
{
	struct bt_file now = {};

	read_times(inode, &now);
	change->ctime_ns = now.ctime_ns;
	change->stamp_ns = now.mtime_ns;
	return 0;
}

/* What the current system call does to this file. Of a rename the file that has no name left was replaced. */
static __always_inline __u32 current_action(struct inode *inode)
{
	__u32 action = action_of(current_syscall(bpf_get_current_task_btf()));

	return action == BT_ACTION_RENAMED && BPF_CORE_READ(inode, i_nlink) == 0 ? BT_ACTION_REPLACED : action;
}
