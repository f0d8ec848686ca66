/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Changes to files, told by the moment their ctime is set, in the context of the task that changes them: every write,
 * truncation, change of mode or name passes there, on every filesystem (fs/inode.c: inode_set_ctime_current). Notes who
 * wrote what last, and sends a record where code is changed.
 */
#pragma once
#include "cgroup.h"
#include "emit.h"
#include "mounts.h"
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

/* What one program image does to one file again and again is told once in this time, with how often it was. */
const volatile __u64 repeat_after_ns = 10 * NSEC_PER_SEC;

struct change_scratch {
	struct bt_file_event change;
	char text[CHANGE_TEXT_BYTES];
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

/* Whether some process has it mapped as code. Read without locks: a mapping that comes or goes meanwhile may be missed. */
static __always_inline bool is_mapped_as_code(struct inode *inode)
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

/* `path` is NULL for a file that cannot be named. */
static __always_inline void send_change(struct task_struct *task, struct inode *inode, struct path *path, struct unnamed *what)
{
	__u32 zero = 0, at;
	struct change_scratch *s = bpf_map_lookup_elem(&change_scratches, &zero);
	struct lineage *lineage = task_lineage(task);
	struct dentry *name = first_name(inode);
	const char *target;
	long copied = 0;

	if (!s || !lineage || !name)
		return;
	number_record(&s->change.record, BT_FILE, RING_CODE);
	s->change.pid = lineage->self.pid;
	s->change.self_exec_id = lineage->self.self_exec_id;
	s->change.start_ns = lineage->self.start_ns;
	s->change.uid = BPF_CORE_READ(task, real_cred, uid.val);
	s->change.action = what->action;
	s->change.repeats = what->repeats;
	s->change.file_mode = BPF_CORE_READ(inode, i_mode);
	describe_inode(inode, name, &s->change.file);
	if (s->change.file.writecount < 0 || is_mapped_as_code(inode))
		s->change.file.flags |= BT_FLAG_IN_USE;
	s->change.path_len = path ? read_path(path, s->text, SLOT_CHANGE, &s->change.file.flags) & (PATH_BYTES - 1) : 0;
	at = s->change.path_len;
	target = target_of(task, current_syscall(task));
	if (target)
		copied = bpf_probe_read_user_str(s->text + at, PATH_BYTES, target);
	s->change.target_len = copied > 0 ? (copied - 1) & (PATH_BYTES - 1) : 0;
	at += s->change.target_len;
	s->change.cgroup_path_len = read_cgroup_path(task_cgroup(task), s->text + at, SLOT_CHANGE) & (CGROUP_PATH_BYTES - 1);
	at += s->change.cgroup_path_len;
	if (at <= CHANGE_TEXT_BYTES)
		send_record(&s->change.record, sizeof(s->change) + at, RING_CODE);
}

/* A task that sees an overlay names the file by it; the overlay follows with its own inode, but for links and faults. */
static __always_inline bool is_named_later(struct task_struct *task, __u32 action)
{
	struct dentry *root = BPF_CORE_READ(task, fs, root.dentry);

	return action != BT_ACTION_LINKED && current_syscall(task) != NO_SYSCALL && is_overlay(BPF_CORE_READ(root, d_inode));
}

static __always_inline void tell_change(struct task_struct *task, struct inode *inode, struct image by, struct inode_key *key,
					__u64 ctime_ns, __u32 action)
{
	struct dentry *name = first_name(inode);
	struct told_key told = { .by = by, .inode = *key, .action = action };
	struct unnamed what = { .inode = *key, .action = action };
	struct unnamed *later;
	struct path path;

	if (!name || !is_news(&told, ctime_ns, &what.repeats))
		return;
	if (find_path(task, name, &path)) {
		send_change(task, inode, &path, &what);
		return;
	}
	if (is_named_later(task, action)) {
		later = bpf_task_storage_get(&unnamed_changes, task, &what, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (later)
			*later = what;
		return;
	}
	send_change(task, inode, NULL, &what);
}

/* The ctime of a regular file was set. `before_nsec`: the nanoseconds it had before. */
static __always_inline int take_change(struct inode *inode, __u64 ctime_ns, __u32 before_nsec)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u16 mode = BPF_CORE_READ(inode, i_mode);
	struct lineage *lineage;
	struct inode_key key;
	__u32 action;

	if ((mode & S_IFMT) != S_IFREG || (BPF_CORE_READ(task, flags) & PF_KTHREAD))
		return 0;
	lineage = task_lineage(task);
	if (!lineage)
		return 0;
	action = action_of(current_syscall(task));
	if (action == BT_ACTION_RENAMED && BPF_CORE_READ(inode, i_nlink) == 0)
		action = BT_ACTION_REPLACED;
	key = inode_key(inode);
	note_writer(&key, lineage->self, ctime_ns, before_nsec, action == BT_ACTION_WRITTEN || action == BT_ACTION_TRUNCATED);
	if (action == BT_ACTION_UNKNOWN)
		return 0;
	if ((mode & S_IXUGO) || BPF_CORE_READ(inode, i_writecount.counter) < 0 || is_mapped_as_code(inode))
		tell_change(task, inode, lineage->self, &key, ctime_ns, action);
	return 0;
}

/* Overlay's own inode took over the times of the real one: the change that waits for a name is this one. */
static __always_inline int name_change(struct inode *inode)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct unnamed *what = bpf_task_storage_get(&unnamed_changes, task, NULL, 0);
	struct dentry *name = first_name(inode);
	struct inode_key key;
	struct unnamed own;
	struct path path;
	__u32 flags = 0;

	if (!what || !what->action || !name)
		return 0;
	key = inode_key(overlay_real_inode(inode, &flags));
	if (key.ino != what->inode.ino || key.dev != what->inode.dev || key.generation != what->inode.generation)
		return 0;
	own = *what;
	what->action = 0;
	send_change(task, inode, find_path(task, name, &path) ? &path : NULL, &own);
	return 0;
}
