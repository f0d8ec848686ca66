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
#define BT_FLAG_DROPPED (1u << 13)
#define BT_FLAG_IN_USE (1u << 14)
#define BT_FLAG_BY_INSTALLER (1u << 15)
#define BT_FLAG_RUNTIME_SETUP (1u << 16)

#define BT_ACTION_UNKNOWN 0u
#define BT_ACTION_WRITTEN 1u
#define BT_ACTION_TRUNCATED 2u
#define BT_ACTION_MODE 3u
#define BT_ACTION_RENAMED 4u
#define BT_ACTION_REPLACED 5u
#define BT_ACTION_LINKED 6u
#define BT_ACTION_UNLINKED 7u

#define BT_EXEC 1u
#define BT_EXIT 2u
#define BT_FILE 5u
#define BT_MAPPING 3u
#define BT_REPEATS 4u
#define BT_INTERPRETED 6u
#define BT_SCRIPT_READ 7u

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
	__u64 writer_start_ns;
	__u64 written_ns;
	__u32 writer_pid;
	__u32 writer_self_exec_id;
	__u32 argv_bytes;
	__u16 path_len;
	__u16 filename_len;
	__u16 cwd_len;
	__u16 comm_len;
	__u16 cgroup_path_len;
	__u16 argv_len;
};
_Static_assert(sizeof(struct bt_exec) == 200, "bt_exec");
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
_Static_assert(__builtin_offsetof(struct bt_exec, writer_start_ns) == 160, "bt_exec.writer_start_ns");
_Static_assert(__builtin_offsetof(struct bt_exec, written_ns) == 168, "bt_exec.written_ns");
_Static_assert(__builtin_offsetof(struct bt_exec, writer_pid) == 176, "bt_exec.writer_pid");
_Static_assert(__builtin_offsetof(struct bt_exec, writer_self_exec_id) == 180, "bt_exec.writer_self_exec_id");
_Static_assert(__builtin_offsetof(struct bt_exec, argv_bytes) == 184, "bt_exec.argv_bytes");
_Static_assert(__builtin_offsetof(struct bt_exec, path_len) == 188, "bt_exec.path_len");
_Static_assert(__builtin_offsetof(struct bt_exec, filename_len) == 190, "bt_exec.filename_len");
_Static_assert(__builtin_offsetof(struct bt_exec, cwd_len) == 192, "bt_exec.cwd_len");
_Static_assert(__builtin_offsetof(struct bt_exec, comm_len) == 194, "bt_exec.comm_len");
_Static_assert(__builtin_offsetof(struct bt_exec, cgroup_path_len) == 196, "bt_exec.cgroup_path_len");
_Static_assert(__builtin_offsetof(struct bt_exec, argv_len) == 198, "bt_exec.argv_len");

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

struct bt_file_event {
	struct bt_record record;
	__u32 pid;
	__u32 self_exec_id;
	__u64 start_ns;
	__u32 uid;
	__u32 action;
	__u32 repeats;
	__u32 file_mode;
	struct bt_file file;
	__u16 path_len;
	__u16 target_len;
	__u16 cgroup_path_len;
	__u8 reserved[2];
};
_Static_assert(sizeof(struct bt_file_event) == 120, "bt_file_event");
_Static_assert(__builtin_offsetof(struct bt_file_event, pid) == 24, "bt_file_event.pid");
_Static_assert(__builtin_offsetof(struct bt_file_event, self_exec_id) == 28, "bt_file_event.self_exec_id");
_Static_assert(__builtin_offsetof(struct bt_file_event, start_ns) == 32, "bt_file_event.start_ns");
_Static_assert(__builtin_offsetof(struct bt_file_event, uid) == 40, "bt_file_event.uid");
_Static_assert(__builtin_offsetof(struct bt_file_event, action) == 44, "bt_file_event.action");
_Static_assert(__builtin_offsetof(struct bt_file_event, repeats) == 48, "bt_file_event.repeats");
_Static_assert(__builtin_offsetof(struct bt_file_event, file_mode) == 52, "bt_file_event.file_mode");
_Static_assert(__builtin_offsetof(struct bt_file_event, file.dev) == 56, "bt_file_event.file.dev");
_Static_assert(__builtin_offsetof(struct bt_file_event, file.generation) == 60, "bt_file_event.file.generation");
_Static_assert(__builtin_offsetof(struct bt_file_event, file.ino) == 64, "bt_file_event.file.ino");
_Static_assert(__builtin_offsetof(struct bt_file_event, file.ctime_ns) == 72, "bt_file_event.file.ctime_ns");
_Static_assert(__builtin_offsetof(struct bt_file_event, file.mtime_ns) == 80, "bt_file_event.file.mtime_ns");
_Static_assert(__builtin_offsetof(struct bt_file_event, file.size) == 88, "bt_file_event.file.size");
_Static_assert(__builtin_offsetof(struct bt_file_event, file.nlink) == 96, "bt_file_event.file.nlink");
_Static_assert(__builtin_offsetof(struct bt_file_event, file.writecount) == 100, "bt_file_event.file.writecount");
_Static_assert(__builtin_offsetof(struct bt_file_event, file.fs_magic) == 104, "bt_file_event.file.fs_magic");
_Static_assert(__builtin_offsetof(struct bt_file_event, file.flags) == 108, "bt_file_event.file.flags");
_Static_assert(__builtin_offsetof(struct bt_file_event, path_len) == 112, "bt_file_event.path_len");
_Static_assert(__builtin_offsetof(struct bt_file_event, target_len) == 114, "bt_file_event.target_len");
_Static_assert(__builtin_offsetof(struct bt_file_event, cgroup_path_len) == 116, "bt_file_event.cgroup_path_len");

struct bt_mapping {
	struct bt_record record;
	__u32 pid;
	__u32 self_exec_id;
	__u64 start_ns;
	__u32 uid;
	__u32 in_exec;
	__u64 from_address;
	__u64 to_address;
	struct bt_file file;
	__u32 mnt_ns;
	__u16 path_len;
	__u16 parent_path_len;
	__u16 cgroup_path_len;
	__u8 reserved[6];
};
_Static_assert(sizeof(struct bt_mapping) == 136, "bt_mapping");
_Static_assert(__builtin_offsetof(struct bt_mapping, pid) == 24, "bt_mapping.pid");
_Static_assert(__builtin_offsetof(struct bt_mapping, self_exec_id) == 28, "bt_mapping.self_exec_id");
_Static_assert(__builtin_offsetof(struct bt_mapping, start_ns) == 32, "bt_mapping.start_ns");
_Static_assert(__builtin_offsetof(struct bt_mapping, uid) == 40, "bt_mapping.uid");
_Static_assert(__builtin_offsetof(struct bt_mapping, in_exec) == 44, "bt_mapping.in_exec");
_Static_assert(__builtin_offsetof(struct bt_mapping, from_address) == 48, "bt_mapping.from_address");
_Static_assert(__builtin_offsetof(struct bt_mapping, to_address) == 56, "bt_mapping.to_address");
_Static_assert(__builtin_offsetof(struct bt_mapping, file.dev) == 64, "bt_mapping.file.dev");
_Static_assert(__builtin_offsetof(struct bt_mapping, file.generation) == 68, "bt_mapping.file.generation");
_Static_assert(__builtin_offsetof(struct bt_mapping, file.ino) == 72, "bt_mapping.file.ino");
_Static_assert(__builtin_offsetof(struct bt_mapping, file.ctime_ns) == 80, "bt_mapping.file.ctime_ns");
_Static_assert(__builtin_offsetof(struct bt_mapping, file.mtime_ns) == 88, "bt_mapping.file.mtime_ns");
_Static_assert(__builtin_offsetof(struct bt_mapping, file.size) == 96, "bt_mapping.file.size");
_Static_assert(__builtin_offsetof(struct bt_mapping, file.nlink) == 104, "bt_mapping.file.nlink");
_Static_assert(__builtin_offsetof(struct bt_mapping, file.writecount) == 108, "bt_mapping.file.writecount");
_Static_assert(__builtin_offsetof(struct bt_mapping, file.fs_magic) == 112, "bt_mapping.file.fs_magic");
_Static_assert(__builtin_offsetof(struct bt_mapping, file.flags) == 116, "bt_mapping.file.flags");
_Static_assert(__builtin_offsetof(struct bt_mapping, mnt_ns) == 120, "bt_mapping.mnt_ns");
_Static_assert(__builtin_offsetof(struct bt_mapping, path_len) == 124, "bt_mapping.path_len");
_Static_assert(__builtin_offsetof(struct bt_mapping, parent_path_len) == 126, "bt_mapping.parent_path_len");
_Static_assert(__builtin_offsetof(struct bt_mapping, cgroup_path_len) == 128, "bt_mapping.cgroup_path_len");

struct bt_repeats {
	struct bt_record record;
	__u64 of_seq;
	__u64 last_ns;
	__u32 of_cpu;
	__u32 count;
	__u32 forgotten;
	__u8 reserved[4];
};
_Static_assert(sizeof(struct bt_repeats) == 56, "bt_repeats");
_Static_assert(__builtin_offsetof(struct bt_repeats, of_seq) == 24, "bt_repeats.of_seq");
_Static_assert(__builtin_offsetof(struct bt_repeats, last_ns) == 32, "bt_repeats.last_ns");
_Static_assert(__builtin_offsetof(struct bt_repeats, of_cpu) == 40, "bt_repeats.of_cpu");
_Static_assert(__builtin_offsetof(struct bt_repeats, count) == 44, "bt_repeats.count");
_Static_assert(__builtin_offsetof(struct bt_repeats, forgotten) == 48, "bt_repeats.forgotten");

struct bt_interpreted {
	struct bt_record record;
	__u32 pid;
	__u32 self_exec_id;
	__u64 start_ns;
	__u32 uid;
	__u32 family;
	struct bt_file file;
	__u32 mnt_ns;
	__u32 stdin_mode;
	__u16 path_len;
	__u16 parent_path_len;
	__u16 cwd_len;
	__u16 cgroup_path_len;
	__u16 argv_len;
	__u8 reserved[6];
};
_Static_assert(sizeof(struct bt_interpreted) == 128, "bt_interpreted");
_Static_assert(__builtin_offsetof(struct bt_interpreted, pid) == 24, "bt_interpreted.pid");
_Static_assert(__builtin_offsetof(struct bt_interpreted, self_exec_id) == 28, "bt_interpreted.self_exec_id");
_Static_assert(__builtin_offsetof(struct bt_interpreted, start_ns) == 32, "bt_interpreted.start_ns");
_Static_assert(__builtin_offsetof(struct bt_interpreted, uid) == 40, "bt_interpreted.uid");
_Static_assert(__builtin_offsetof(struct bt_interpreted, family) == 44, "bt_interpreted.family");
_Static_assert(__builtin_offsetof(struct bt_interpreted, file.dev) == 48, "bt_interpreted.file.dev");
_Static_assert(__builtin_offsetof(struct bt_interpreted, file.generation) == 52, "bt_interpreted.file.generation");
_Static_assert(__builtin_offsetof(struct bt_interpreted, file.ino) == 56, "bt_interpreted.file.ino");
_Static_assert(__builtin_offsetof(struct bt_interpreted, file.ctime_ns) == 64, "bt_interpreted.file.ctime_ns");
_Static_assert(__builtin_offsetof(struct bt_interpreted, file.mtime_ns) == 72, "bt_interpreted.file.mtime_ns");
_Static_assert(__builtin_offsetof(struct bt_interpreted, file.size) == 80, "bt_interpreted.file.size");
_Static_assert(__builtin_offsetof(struct bt_interpreted, file.nlink) == 88, "bt_interpreted.file.nlink");
_Static_assert(__builtin_offsetof(struct bt_interpreted, file.writecount) == 92, "bt_interpreted.file.writecount");
_Static_assert(__builtin_offsetof(struct bt_interpreted, file.fs_magic) == 96, "bt_interpreted.file.fs_magic");
_Static_assert(__builtin_offsetof(struct bt_interpreted, file.flags) == 100, "bt_interpreted.file.flags");
_Static_assert(__builtin_offsetof(struct bt_interpreted, mnt_ns) == 104, "bt_interpreted.mnt_ns");
_Static_assert(__builtin_offsetof(struct bt_interpreted, stdin_mode) == 108, "bt_interpreted.stdin_mode");
_Static_assert(__builtin_offsetof(struct bt_interpreted, path_len) == 112, "bt_interpreted.path_len");
_Static_assert(__builtin_offsetof(struct bt_interpreted, parent_path_len) == 114, "bt_interpreted.parent_path_len");
_Static_assert(__builtin_offsetof(struct bt_interpreted, cwd_len) == 116, "bt_interpreted.cwd_len");
_Static_assert(__builtin_offsetof(struct bt_interpreted, cgroup_path_len) == 118, "bt_interpreted.cgroup_path_len");
_Static_assert(__builtin_offsetof(struct bt_interpreted, argv_len) == 120, "bt_interpreted.argv_len");

struct bt_script_read {
	struct bt_record record;
	__u32 pid;
	__u32 self_exec_id;
	__u64 start_ns;
	__u32 fd;
	__u32 opened;
	struct bt_file file;
	__u16 path_len;
	__u8 reserved[6];
};
_Static_assert(sizeof(struct bt_script_read) == 112, "bt_script_read");
_Static_assert(__builtin_offsetof(struct bt_script_read, pid) == 24, "bt_script_read.pid");
_Static_assert(__builtin_offsetof(struct bt_script_read, self_exec_id) == 28, "bt_script_read.self_exec_id");
_Static_assert(__builtin_offsetof(struct bt_script_read, start_ns) == 32, "bt_script_read.start_ns");
_Static_assert(__builtin_offsetof(struct bt_script_read, fd) == 40, "bt_script_read.fd");
_Static_assert(__builtin_offsetof(struct bt_script_read, opened) == 44, "bt_script_read.opened");
_Static_assert(__builtin_offsetof(struct bt_script_read, file.dev) == 48, "bt_script_read.file.dev");
_Static_assert(__builtin_offsetof(struct bt_script_read, file.generation) == 52, "bt_script_read.file.generation");
_Static_assert(__builtin_offsetof(struct bt_script_read, file.ino) == 56, "bt_script_read.file.ino");
_Static_assert(__builtin_offsetof(struct bt_script_read, file.ctime_ns) == 64, "bt_script_read.file.ctime_ns");
_Static_assert(__builtin_offsetof(struct bt_script_read, file.mtime_ns) == 72, "bt_script_read.file.mtime_ns");
_Static_assert(__builtin_offsetof(struct bt_script_read, file.size) == 80, "bt_script_read.file.size");
_Static_assert(__builtin_offsetof(struct bt_script_read, file.nlink) == 88, "bt_script_read.file.nlink");
_Static_assert(__builtin_offsetof(struct bt_script_read, file.writecount) == 92, "bt_script_read.file.writecount");
_Static_assert(__builtin_offsetof(struct bt_script_read, file.fs_magic) == 96, "bt_script_read.file.fs_magic");
_Static_assert(__builtin_offsetof(struct bt_script_read, file.flags) == 100, "bt_script_read.file.flags");
_Static_assert(__builtin_offsetof(struct bt_script_read, path_len) == 104, "bt_script_read.path_len");
