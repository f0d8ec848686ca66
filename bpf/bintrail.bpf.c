// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * The tracepoint family: fork, exec and exit on BTF tracepoints, which work where BPF trampolines are refused.
 * sched_process_exec: bprm_execve -> exec_binprm -> trace_sched_process_exec, once per success, in the new image.
 * sched_process_exit: do_exit, after signal->live went down: at 0 the last thread of the process is leaving.
 */
#include "cgroup.h"
#include "changes.h"
#include "ctime.h"
#include "dirty.h"
#include "emit.h"
#include "identity.h"
#include "kernel.h"
#include "lineage.h"
#include "loads.h"
#include "path.h"
#include "protect.h"
#include "scripts.h"
#include "takeover.h"
#include "trampolines.h"
#include "writers.h"

#define ARGV_BYTES 8192u
#define TEXT_BYTES (3 * PATH_BYTES + CGROUP_PATH_BYTES + ARGV_BYTES + 2 * PATH_BYTES)
#define COMM_BYTES 16u
#define SLOT_EXEC 0
#define SLOT_SNAPSHOT 1

/* A record is put together here and copied once: its size is only known at the end. */
struct exec_scratch {
	struct bt_exec exec;
	char text[TEXT_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct exec_scratch);
} exec_scratches SEC(".maps");

static __always_inline void fill_identity(struct bt_exec *e, struct task_struct *task, struct lineage *lineage)
{
	const struct cred *cred = BPF_CORE_READ(task, cred);
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct cgroup *cgroup = task_cgroup(task);
	struct pid_namespace *pid_ns = NULL;
	/* MAX_PID_NS_LEVEL is 32 */
	__u32 level = BPF_CORE_READ(pid, level) & 31;

	set_image(e, lineage->self);
	e->parent_pid = lineage->parent.pid;
	e->parent_self_exec_id = lineage->parent.self_exec_id;
	e->parent_start_ns = lineage->parent.start_ns;
	e->ppid = lineage->ppid;
	e->uid = BPF_CORE_READ(cred, uid.val);
	e->gid = BPF_CORE_READ(cred, gid.val);
	e->euid = BPF_CORE_READ(cred, euid.val);
	e->egid = BPF_CORE_READ(cred, egid.val);
	e->loginuid = bpf_core_field_exists(task->loginuid) ? BPF_CORE_READ(task, loginuid.val) : ~0u;
	e->mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	/* By the kernel's own size of an element: ours has fewer members. */
	bpf_probe_read_kernel(&pid_ns, sizeof(pid_ns),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid) + bpf_core_field_offset(struct upid, ns));
	e->pid_ns = BPF_CORE_READ(pid_ns, ns.inum);
	e->cgroup_hierarchy = BPF_CORE_READ(cgroup, root, hierarchy_id);
	e->cgroup_id = BPF_CORE_READ(cgroup, kn, id);
}

static __always_inline void fill_writer(struct bt_exec *e)
{
	struct last_writer writer = writer_of(&e->file);

	e->writer_start_ns = writer.by.start_ns;
	e->writer_pid = writer.by.pid;
	e->writer_self_exec_id = writer.by.self_exec_id;
	e->written_ns = writer.written_ns;
}

/* Appends the texts that both a live exec and a snapshot have, in the order of schemas/src/exec.ts; returns their size. */
static __always_inline __u32 fill_texts(struct exec_scratch *s, struct task_struct *task, const char *filename, __u32 slot)
{
	struct path path;
	__u32 at = 0;
	long copied;

	BPF_CORE_READ_INTO(&path, task, mm, exe_file, f_path);
	s->exec.path_len = read_path(&path, s->text, slot, &s->exec.file.flags) & (PATH_BYTES - 1);
	at = s->exec.path_len;
	copied = filename ? bpf_probe_read_kernel_str(s->text + at, PATH_BYTES, filename) : 0;
	s->exec.filename_len = copied > 0 ? (copied - 1) & (PATH_BYTES - 1) : 0;
	at += s->exec.filename_len;
	BPF_CORE_READ_INTO(&path, task, fs, pwd);
	s->exec.cwd_len = read_path(&path, s->text + at, slot, &s->exec.file.flags) & (PATH_BYTES - 1);
	at += s->exec.cwd_len;
	copied = bpf_probe_read_kernel_str(s->text + at, COMM_BYTES, &task->comm);
	s->exec.comm_len = copied > 0 ? (copied - 1) & (COMM_BYTES - 1) : 0;
	at += s->exec.comm_len;
	s->exec.cgroup_path_len = read_cgroup_path(task_cgroup(task), s->text + at, slot) & (CGROUP_PATH_BYTES - 1);
	at += s->exec.cgroup_path_len;
	return at;
}

/* Arguments from the new stack, after the commit: nobody can change them between a check and this reading. */
static __always_inline __u32 fill_argv(struct exec_scratch *s, struct task_struct *task, __u32 at)
{
	unsigned long from = BPF_CORE_READ(task, mm, arg_start);
	unsigned long size = BPF_CORE_READ(task, mm, arg_end) - from;
	__u32 kept = size < ARGV_BYTES ? size : ARGV_BYTES - 1;

	s->exec.argv_bytes = size;
	if (size >= ARGV_BYTES)
		s->exec.file.flags |= BT_FLAG_TRUNCATED_ARGV;
	if (at > TEXT_BYTES - ARGV_BYTES)
		return at;
	if (bpf_probe_read_user(s->text + at, kept & (ARGV_BYTES - 1), (void *)from)) {
		s->exec.file.flags |= BT_FLAG_UNREADABLE_ARGV;
		kept = 0;
	}
	s->exec.argv_len = kept;
	return at + kept;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct lineage *from = task_lineage(parent);
	struct lineage inherited;

	if (!from)
		return 0;
	take_open(from);
	inherited = *from;
	inherited.mapped = 0;
	inherited.reads_left = 0;
	if (child->tgid != parent->tgid) {
		inherited.parent = from->self;
		inherited.ppid = parent->tgid;
	}
	bpf_task_storage_get(&lineages, child, &inherited, BPF_LOCAL_STORAGE_GET_F_CREATE);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 slot = SLOT_EXEC;
	struct exec_scratch *s = bpf_map_lookup_elem(&exec_scratches, &slot);
	struct lineage *lineage = task_lineage(task);
	struct lineage none = {};
	__u32 size;

	note_takeover();
	if (!s)
		return 0;
	number_record(&s->exec.record, BT_EXEC, RING_EXEC);
	if (!lineage)
		lineage = &none;
	lineage->self = own_image(task);
	fill_identity(&s->exec, task, lineage);
	describe_file(BPF_CORE_READ(task, mm, exe_file), &s->exec.file);
	fill_writer(&s->exec);
	if (BPF_CORE_READ(bprm, interp) != BPF_CORE_READ(bprm, filename))
		s->exec.file.flags |= BT_FLAG_SCRIPT;
	s->exec.argc = BPF_CORE_READ(bprm, argc);
	size = fill_texts(s, task, BPF_CORE_READ(bprm, filename), slot);
	size = fill_argv(s, task, size);
	if (size > TEXT_BYTES)
		return 0;
	hand_over(&s->exec.record, sizeof(s->exec) + size, RING_EXEC, is_known(&s->exec.file, s->exec.mnt_ns));
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct lineage *lineage;
	struct bt_exit e = {};
	int code;

	if (BPF_CORE_READ(task, signal, live.counter) != 0)
		return 0;
	lineage = task_lineage(task);
	/* A process that only forked is no program image of its own: its parent's exec already stands for it. */
	if (!lineage || lineage->self.pid != task->tgid)
		return 0;
	take_open(lineage);
	number_record(&e.record, BT_EXIT, RING_EXEC);
	set_image(&e, lineage->self);
	code = BPF_CORE_READ(task, signal, group_exit_code);
	if (!code)
		code = task->exit_code;
	e.exit_code = (code >> 8) & 0xff;
	e.signal = code & 0x7f;
	hand_over(&e.record, sizeof(e), RING_EXEC, true);
	return 0;
}

/* Processes that were there before the probe: gives each its lineage, and user space a record without arguments. */
SEC("iter/task")
int snapshot(struct bpf_iter__task *ctx)
{
	__u32 slot = SLOT_SNAPSHOT, size;
	struct exec_scratch *s = bpf_map_lookup_elem(&exec_scratches, &slot);
	struct task_struct *task = ctx->task;
	struct lineage *lineage;

	if (!s || !task || task->tgid != task->pid || !BPF_CORE_READ(task, mm, exe_file))
		return 0;
	lineage = task_lineage(task);
	/* Forked since the hooks were attached and not yet in an image of its own: see on_exit. */
	if (!lineage || lineage->self.pid != task->tgid)
		return 0;
	__builtin_memset(&s->exec, 0, sizeof(s->exec));
	s->exec.record.type = BT_EXEC;
	s->exec.record.boot_ns = task->start_boottime;
	fill_identity(&s->exec, task, lineage);
	describe_file(BPF_CORE_READ(task, mm, exe_file), &s->exec.file);
	fill_writer(&s->exec);
	s->exec.file.flags |= BT_FLAG_SNAPSHOT;
	size = fill_texts(s, task, NULL, slot);
	if (size > TEXT_BYTES)
		return 0;
	bpf_seq_write(ctx->meta->seq, s, sizeof(s->exec) + size);
	return 0;
}

/*
 * The images that run, and nothing more of them: looked at every minute. One whose leader left first stands in each of
 * its other threads. Who is about to exec has its new number already: lineage gets it only when the exec is announced.
 */
SEC("iter/task")
int alive(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct lineage *lineage;
	struct image image;

	if (!task || !BPF_CORE_READ(task, mm, exe_file))
		return 0;
	if (task->tgid != task->pid && BPF_CORE_READ(task, group_leader, mm))
		return 0;
	lineage = task_lineage(task);
	if (!lineage || lineage->self.pid != task->tgid)
		return 0;
	image = own_image(task);
	bpf_seq_write(ctx->meta->seq, &image, sizeof(image));
	return 0;
}

struct describe_request {
	__u32 fd;
	__s32 error;
	struct bt_file file;
};

/* Describes a descriptor of the calling process; the answer replaces the request (BPF_PROG_TEST_RUN copies it back). */
SEC("syscall")
int describe_fd(struct describe_request *request)
{
	struct file *file = open_file(bpf_get_current_task_btf(), request->fd);
	struct bt_file described = {};

	request->error = -9; /* EBADF */
	if (!file)
		return 0;
	describe_file(file, &described);
	request->file = described;
	request->error = 0;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
