// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * What only BPF trampolines and LSM hooks show, where the kernel allows them; the tracepoints of bintrail.bpf.c tell of
 * the exec itself in both families.
 * security_bprm_check: exec_binprm -> search_binary_handler -> here, once for each file on the way: the script, what
 * interprets it, and so on up to the program.
 * bprm_committed_creds: begin_new_exec, past the point of no return and before sched_process_exec; ima_bprm_check came
 * before it.
 */
#include "kernel.h"
#include "identity.h"
#include "lineage.h"
#include "path.h"

/* include/uapi/linux/hash_info.h, include/linux/ima.h */
#define HASH_ALGO_SHA256 4
#define IMA_MAX_DIGEST_BYTES 64
#define SHA256_BYTES 32
#define ELF_MACHINE_AT 18
#if defined(__TARGET_ARCH_x86)
#define OWN_MACHINE 62
#elif defined(__TARGET_ARCH_arm64)
#define OWN_MACHINE 183
#endif

#define STEP_FIRST 1
#define STEP_NEXT 2
#define STEP_MEASURED 3
#define SLOT_STEP 0

/* One file on the way of an exec to its program, or IMA's digest of the program. Layout: services/probe/src/exec-steps.ts */
struct step {
	struct image image;
	__u32 kind;
	__u32 path_len;
	struct bt_file file;
	char sha256[SHA256_BYTES];
};
_Static_assert(sizeof(struct step) == 112, "struct step has no padding");

struct step_scratch {
	struct step step;
	char path[PATH_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct step_scratch);
} step_scratches SEC(".maps");

/* A ring of its own, that wakes nobody: these belong to execs that are told elsewhere, and carry no numbers. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} step_ring SEC(".maps");

/* Steps there was no room for: their exec is told all the same. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} steps_lost SEC(".maps");

static __always_inline void count_lost(void)
{
	__u32 zero = 0;
	__u64 *lost = bpf_map_lookup_elem(&steps_lost, &zero);

	if (lost)
		(*lost)++;
}

/* What the kernel runs itself is no step on the way but its end. Anything else goes to an interpreter. */
static __always_inline bool is_program(struct linux_binprm *bprm)
{
	__u32 magic = 0;
	__u16 machine = 0;

	bpf_core_read(&magic, sizeof(magic), &bprm->buf[0]);
	bpf_core_read(&machine, sizeof(machine), &bprm->buf[ELF_MACHINE_AT]);
	return magic == 0x464c457f && machine == OWN_MACHINE;
}

/* The image this exec will be, if it succeeds: a failed one leaves its steps to the next. The first step says so. */
SEC("fentry/security_bprm_check")
int BPF_PROG(on_step, struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 slot = SLOT_STEP, size;
	struct step_scratch *s = bpf_map_lookup_elem(&step_scratches, &slot);
	struct file *file = BPF_CORE_READ(bprm, file);
	struct path path;

	if (!s || is_program(bprm))
		return 0;
	__builtin_memset(&s->step, 0, sizeof(s->step));
	s->step.image = own_image(task);
	s->step.image.self_exec_id += 1;
	s->step.kind = BPF_CORE_READ(bprm, interp) == BPF_CORE_READ(bprm, filename) ? STEP_FIRST : STEP_NEXT;
	describe_file(file, &s->step.file);
	BPF_CORE_READ_INTO(&path, file, f_path);
	s->step.path_len = read_path(&path, s->path, slot, &s->step.file.flags) & (PATH_BYTES - 1);
	size = sizeof(s->step) + s->step.path_len;
	if (size > sizeof(*s))
		return 0;
	if (bpf_ringbuf_output(&step_ring, s, size, BPF_RB_NO_WAKEUP))
		count_lost();
	return 0;
}

/*
 * The digest IMA keeps of the program, where its policy measures what is executed: ima_bprm_check has just made sure of
 * it, and the exec denies everyone writing. Only asked for what IMA has: bpf_ima_file_hash would read the file.
 */
SEC("lsm.s/bprm_committed_creds")
int BPF_PROG(on_committed, struct linux_binprm *bprm)
{
	char digest[IMA_MAX_DIGEST_BYTES] = {};
	struct step *step;

	if (bpf_ima_inode_hash(bprm->file->f_inode, digest, sizeof(digest)) != HASH_ALGO_SHA256)
		return 0;
	step = bpf_ringbuf_reserve(&step_ring, sizeof(*step), 0);
	if (!step) {
		count_lost();
		return 0;
	}
	step->image = own_image(bpf_get_current_task_btf());
	step->kind = STEP_MEASURED;
	step->path_len = 0;
	describe_file(bprm->file, &step->file);
	__builtin_memcpy(step->sha256, digest, SHA256_BYTES);
	bpf_ringbuf_submit(step, BPF_RB_NO_WAKEUP);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
