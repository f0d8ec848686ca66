/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Interpreters that start by themselves, with no script of the kernel's own. User space names the programs that are some;
 * an exec of one is told with its arguments and standard input, and what it reads is looked at from then on (scripts.h).
 */
#pragma once
#include "cgroup.h"
#include "descriptors.h"
#include "emit.h"
#include "identity.h"
#include "lineage.h"
#include "path.h"
#include "syscalls.h"

#define MAX_INTERPRETERS 4096
/* services/probe/src/interpreters.ts: of the families up to this one, `-c` is followed by code. */
#define LAST_FAMILY_WITH_CODE 3u
#define MAX_WORDS 8
#define READS_WATCHED 1024
#define MAX_WATCHED 4096
#define KEPT_ARGV_BYTES 1024u
#define SLOT_INTERPRETED 3
#define INTERPRETED_TEXT_BYTES (3 * PATH_BYTES + CGROUP_PATH_BYTES + KEPT_ARGV_BYTES)
#define FNV_OFFSET 2166136261u
#define FNV_PRIME 16777619u
#define FILE_TYPE 0170000
#define REGULAR_FILE 0100000

/* The fields of bt_file that make the identity, in its order: a changed file is another program. */
struct program_key {
	__u32 dev;
	__u32 generation;
	__u64 ino;
	__u64 ctime_ns;
	__u64 mtime_ns;
	__u64 size;
};

/* To the family of each. User space, which writes it, makes room. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_INTERPRETERS);
	__type(key, struct program_key);
	__type(value, __u32);
} interpreters SEC(".maps");

/* The last component of an argument, by what it takes to know it again. */
struct word {
	__u32 hash;
	__u32 length;
};

struct words {
	struct word at[MAX_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct words);
} named_words SEC(".maps");

/*
 * Processes whose reads are looked at, each in the slot of its id: so a read of anybody else costs next to nothing. Of two
 * in one slot the later one has it.
 */
__u32 watched[MAX_WATCHED];

#define HASH_OF_DASH_C ((__u32)((((FNV_OFFSET ^ '-') * FNV_PRIME) ^ 'c') * FNV_PRIME))

/* Kept in a map, of whose content the verifier knows nothing: on the stack it would follow every value. */
struct word_scan {
	struct words words;
	__u32 size;
	__u32 family;
	__u32 count;
	__u32 hash;
	__u32 length;
	/* Words that are complete, the program's own name among them. */
	__u32 done;
	bool is_begun;
	bool is_option;
	/* `-c` is the first argument, as where one program has another run a command: what follows is the code. */
	bool has_code;
};

struct interpreted_scratch {
	struct bt_interpreted told;
	char text[INTERPRETED_TEXT_BYTES];
	char argv[KEPT_ARGV_BYTES];
	struct word_scan scan;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct interpreted_scratch);
} interpreted_scratches SEC(".maps");

static __always_inline void end_word(struct word_scan *scan)
{
	if (scan->done == 1 && scan->family <= LAST_FAMILY_WITH_CODE && scan->length == 2 && scan->hash == HASH_OF_DASH_C)
		scan->has_code = true;
	if (scan->done && !scan->is_option && scan->length) {
		scan->words.at[scan->count & (MAX_WORDS - 1)] = (struct word){ scan->hash, scan->length };
		scan->count++;
	}
	scan->done++;
	scan->is_begun = scan->is_option = false;
}

/* One byte of the arguments: words are closed by their NUL, and a slash begins the last component anew. */
static long scan_argv(__u32 index, void *unused)
{
	__u32 zero = 0;
	struct interpreted_scratch *s = bpf_map_lookup_elem(&interpreted_scratches, &zero);
	struct word_scan *scan;
	unsigned char byte;

	if (!s)
		return 1;
	scan = &s->scan;
	if (index >= scan->size || scan->count >= MAX_WORDS || scan->has_code)
		return 1;
	byte = s->argv[index & (KEPT_ARGV_BYTES - 1)];
	if (!byte) {
		end_word(scan);
	} else if (!scan->is_begun) {
		scan->is_begun = true;
		scan->is_option = byte == '-';
	}
	if (!byte || byte == '/') {
		scan->hash = FNV_OFFSET;
		scan->length = 0;
		return 0;
	}
	scan->hash = (scan->hash ^ byte) * FNV_PRIME;
	scan->length++;
	return 0;
}

static __always_inline __u32 read_argv(struct interpreted_scratch *s, struct task_struct *task)
{
	unsigned long from = BPF_CORE_READ(task, mm, arg_start);
	unsigned long size = BPF_CORE_READ(task, mm, arg_end) - from;
	__u32 kept = size < KEPT_ARGV_BYTES ? size : KEPT_ARGV_BYTES - 1;

	return bpf_probe_read_user(s->argv, kept & (KEPT_ARGV_BYTES - 1), (void *)from) ? 0 : kept;
}

/* Its mode; the file is described where it is a regular one. */
static __always_inline __u32 describe_stdin(struct interpreted_scratch *s, struct task_struct *task, __u32 slot)
{
	struct file *file = open_file(task, 0);
	__u32 mode = file ? BPF_CORE_READ(file, f_inode, i_mode) : 0;
	struct path path;

	__builtin_memset(&s->told.file, 0, sizeof(s->told.file));
	s->told.path_len = 0;
	if ((mode & FILE_TYPE) != REGULAR_FILE)
		return mode;
	describe_file(file, &s->told.file);
	BPF_CORE_READ_INTO(&path, file, f_path);
	s->told.path_len = read_path(&path, s->text, slot, &s->told.file.flags) & (PATH_BYTES - 1);
	return mode;
}

/* Appends the texts that follow the path of standard input, in the order of schemas/src/interpreted.ts. */
static __always_inline __u32 fill_interpreted(struct interpreted_scratch *s, struct task_struct *task, __u32 slot, __u32 argv)
{
	__u32 at = s->told.path_len, unused = 0;
	struct path path;

	BPF_CORE_READ_INTO(&path, task, mm, exe_file, f_path);
	s->told.parent_path_len = read_path(&path, s->text + at, slot, &unused) & (PATH_BYTES - 1);
	at += s->told.parent_path_len;
	BPF_CORE_READ_INTO(&path, task, fs, pwd);
	s->told.cwd_len = read_path(&path, s->text + at, slot, &unused) & (PATH_BYTES - 1);
	at += s->told.cwd_len;
	s->told.cgroup_path_len = read_cgroup_path(task_cgroup(task), s->text + at, slot) & (CGROUP_PATH_BYTES - 1);
	at += s->told.cgroup_path_len;
	s->told.argv_len = argv & (KEPT_ARGV_BYTES - 1);
	if (at > INTERPRETED_TEXT_BYTES - KEPT_ARGV_BYTES)
		return INTERPRETED_TEXT_BYTES + 1;
	bpf_probe_read_kernel(s->text + at, s->told.argv_len & (KEPT_ARGV_BYTES - 1), s->argv);
	return at + s->told.argv_len;
}

static __always_inline void watch_reads(struct task_struct *task, struct lineage *lineage, struct word_scan *scan)
{
	struct words *kept;

	if (!scan->count)
		return;
	kept = bpf_task_storage_get(&named_words, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!kept)
		return;
	*kept = scan->words;
	lineage->reads_left = READS_WATCHED;
	watched[task->tgid & (MAX_WATCHED - 1)] = task->tgid;
}

static __always_inline void fill_image(struct bt_interpreted *told, struct task_struct *task)
{
	struct image image = own_image(task);

	set_image(told, image);
	told->uid = BPF_CORE_READ(task, cred, uid.val);
	told->mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_interpreter, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 zero = 0, slot = SLOT_INTERPRETED, size, *family;
	struct interpreted_scratch *s = bpf_map_lookup_elem(&interpreted_scratches, &zero);
	struct lineage *lineage = task_lineage(task);
	struct program_key key;
	struct bt_file program = {};

	if (!s || !lineage)
		return 0;
	lineage->reads_left = 0;
	/* The kernel itself opened the script. */
	if (BPF_CORE_READ(bprm, interp) != BPF_CORE_READ(bprm, filename))
		return 0;
	describe_file(BPF_CORE_READ(task, mm, exe_file), &program);
	key = (struct program_key){ program.dev,      program.generation, program.ino,
				    program.ctime_ns, program.mtime_ns,   program.size };
	family = bpf_map_lookup_elem(&interpreters, &key);
	if (!family)
		return 0;
	__builtin_memset(&s->scan, 0, sizeof(s->scan));
	s->scan.family = *family;
	s->scan.hash = FNV_OFFSET;
	s->scan.size = read_argv(s, task);
	bpf_loop(KEPT_ARGV_BYTES, scan_argv, NULL, 0);
	if (s->scan.has_code)
		return 0;
	number_record(&s->told.record, BT_INTERPRETED, RING_CODE);
	fill_image(&s->told, task);
	s->told.family = *family;
	s->told.stdin_mode = describe_stdin(s, task, slot);
	size = fill_interpreted(s, task, slot, s->scan.size);
	if (size > INTERPRETED_TEXT_BYTES)
		return 0;
	send_record(&s->told.record, sizeof(s->told) + size, RING_CODE);
	watch_reads(task, lineage, &s->scan);
	return 0;
}
