/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Generated from schemas/src by `npm run generate`; a test fails when it is stale. */
#pragma once

#define BT_FLAG_MEMFD (1u << 0)
#define BT_FLAG_UNLINKED (1u << 1)
#define BT_FLAG_UPPER_LAYER (1u << 2)
#define BT_FLAG_SETUID (1u << 3)
#define BT_FLAG_TRUNCATED_ARGV (1u << 4)
#define BT_FLAG_REDACTED_ARGV (1u << 5)
#define BT_FLAG_SNAPSHOT (1u << 6)
#define BT_FLAG_SETGID (1u << 7)
#define BT_FLAG_TRUNCATED_PATH (1u << 8)
#define BT_FLAG_UNREADABLE_ARGV (1u << 9)
#define BT_FLAG_SCRIPT (1u << 10)
#define BT_FLAG_OVERLAY (1u << 11)
#define BT_FLAG_FINE_CTIME (1u << 12)

#define BT_EXEC 1u
#define BT_EXIT 2u

struct bt_record {
	__u32 type;
	__u32 cpu;
	__u64 seq;
	__u64 boot_ns;
};
_Static_assert(sizeof(struct bt_record) == 24, "bt_record");

struct bt_file {
	__u32 dev;
	__u32 generation;
	__u64 ino;
	__u64 ctime_ns;
	__u64 mtime_ns;
	__u64 size;
	__u32 nlink;
	__s32 writecount;
	__u32 fs_magic;
	__u32 flags;
};
_Static_assert(sizeof(struct bt_file) == 56, "bt_file");
_Static_assert(__builtin_offsetof(struct bt_file, dev) == 0, "bt_file.dev");
_Static_assert(__builtin_offsetof(struct bt_file, generation) == 4, "bt_file.generation");
_Static_assert(__builtin_offsetof(struct bt_file, ino) == 8, "bt_file.ino");
_Static_assert(__builtin_offsetof(struct bt_file, ctime_ns) == 16, "bt_file.ctime_ns");
_Static_assert(__builtin_offsetof(struct bt_file, mtime_ns) == 24, "bt_file.mtime_ns");
_Static_assert(__builtin_offsetof(struct bt_file, size) == 32, "bt_file.size");
_Static_assert(__builtin_offsetof(struct bt_file, nlink) == 40, "bt_file.nlink");
_Static_assert(__builtin_offsetof(struct bt_file, writecount) == 44, "bt_file.writecount");
_Static_assert(__builtin_offsetof(struct bt_file, fs_magic) == 48, "bt_file.fs_magic");
_Static_assert(__builtin_offsetof(struct bt_file, flags) == 52, "bt_file.flags");

struct bt_exec {
	struct bt_record record;
	__u32 pid;
	__u32 self_exec_id;
	__u64 start_ns;
	__u64 parent_start_ns;
	__u32 parent_pid;
	__u32 parent_self_exec_id;
	__u32 ppid;
	__u32 uid;
	__u32 gid;
	__u32 euid;
	__u32 egid;
	__u32 loginuid;
	__u32 pid_ns;
	__u32 mnt_ns;
	__u64 cgroup_id;
	__u32 cgroup_hierarchy;
	__u32 argc;
	struct bt_file file;
	__u32 argv_bytes;
	__u16 path_len;
	__u16 filename_len;
	__u16 cwd_len;
	__u16 comm_len;
	__u16 cgroup_path_len;
	__u16 argv_len;
};
_Static_assert(sizeof(struct bt_exec) == 176, "bt_exec");
_Static_assert(__builtin_offsetof(struct bt_exec, pid) == 24, "bt_exec.pid");
_Static_assert(__builtin_offsetof(struct bt_exec, self_exec_id) == 28, "bt_exec.self_exec_id");
_Static_assert(__builtin_offsetof(struct bt_exec, start_ns) == 32, "bt_exec.start_ns");
_Static_assert(__builtin_offsetof(struct bt_exec, parent_start_ns) == 40, "bt_exec.parent_start_ns");
_Static_assert(__builtin_offsetof(struct bt_exec, parent_pid) == 48, "bt_exec.parent_pid");
_Static_assert(__builtin_offsetof(struct bt_exec, parent_self_exec_id) == 52, "bt_exec.parent_self_exec_id");
_Static_assert(__builtin_offsetof(struct bt_exec, ppid) == 56, "bt_exec.ppid");
_Static_assert(__builtin_offsetof(struct bt_exec, uid) == 60, "bt_exec.uid");
_Static_assert(__builtin_offsetof(struct bt_exec, gid) == 64, "bt_exec.gid");
_Static_assert(__builtin_offsetof(struct bt_exec, euid) == 68, "bt_exec.euid");
_Static_assert(__builtin_offsetof(struct bt_exec, egid) == 72, "bt_exec.egid");
_Static_assert(__builtin_offsetof(struct bt_exec, loginuid) == 76, "bt_exec.loginuid");
_Static_assert(__builtin_offsetof(struct bt_exec, pid_ns) == 80, "bt_exec.pid_ns");
_Static_assert(__builtin_offsetof(struct bt_exec, mnt_ns) == 84, "bt_exec.mnt_ns");
_Static_assert(__builtin_offsetof(struct bt_exec, cgroup_id) == 88, "bt_exec.cgroup_id");
_Static_assert(__builtin_offsetof(struct bt_exec, cgroup_hierarchy) == 96, "bt_exec.cgroup_hierarchy");
_Static_assert(__builtin_offsetof(struct bt_exec, argc) == 100, "bt_exec.argc");
_Static_assert(__builtin_offsetof(struct bt_exec, file.dev) == 104, "bt_exec.file.dev");
_Static_assert(__builtin_offsetof(struct bt_exec, file.generation) == 108, "bt_exec.file.generation");
_Static_assert(__builtin_offsetof(struct bt_exec, file.ino) == 112, "bt_exec.file.ino");
_Static_assert(__builtin_offsetof(struct bt_exec, file.ctime_ns) == 120, "bt_exec.file.ctime_ns");
_Static_assert(__builtin_offsetof(struct bt_exec, file.mtime_ns) == 128, "bt_exec.file.mtime_ns");
_Static_assert(__builtin_offsetof(struct bt_exec, file.size) == 136, "bt_exec.file.size");
_Static_assert(__builtin_offsetof(struct bt_exec, file.nlink) == 144, "bt_exec.file.nlink");
_Static_assert(__builtin_offsetof(struct bt_exec, file.writecount) == 148, "bt_exec.file.writecount");
_Static_assert(__builtin_offsetof(struct bt_exec, file.fs_magic) == 152, "bt_exec.file.fs_magic");
_Static_assert(__builtin_offsetof(struct bt_exec, file.flags) == 156, "bt_exec.file.flags");
_Static_assert(__builtin_offsetof(struct bt_exec, argv_bytes) == 160, "bt_exec.argv_bytes");
_Static_assert(__builtin_offsetof(struct bt_exec, path_len) == 164, "bt_exec.path_len");
_Static_assert(__builtin_offsetof(struct bt_exec, filename_len) == 166, "bt_exec.filename_len");
_Static_assert(__builtin_offsetof(struct bt_exec, cwd_len) == 168, "bt_exec.cwd_len");
_Static_assert(__builtin_offsetof(struct bt_exec, comm_len) == 170, "bt_exec.comm_len");
_Static_assert(__builtin_offsetof(struct bt_exec, cgroup_path_len) == 172, "bt_exec.cgroup_path_len");
_Static_assert(__builtin_offsetof(struct bt_exec, argv_len) == 174, "bt_exec.argv_len");

struct bt_exit {
	struct bt_record record;
	__u32 pid;
	__u32 self_exec_id;
	__u64 start_ns;
	__u32 exit_code;
	__u32 signal;
};
_Static_assert(sizeof(struct bt_exit) == 48, "bt_exit");
_Static_assert(__builtin_offsetof(struct bt_exit, pid) == 24, "bt_exit.pid");
_Static_assert(__builtin_offsetof(struct bt_exit, self_exec_id) == 28, "bt_exit.self_exec_id");
_Static_assert(__builtin_offsetof(struct bt_exit, start_ns) == 32, "bt_exit.start_ns");
_Static_assert(__builtin_offsetof(struct bt_exit, exit_code) == 40, "bt_exit.exit_code");
_Static_assert(__builtin_offsetof(struct bt_exit, signal) == 44, "bt_exit.signal");
