-- Who wrote what was run, as far as the kernel side saw it; 0 and empty where it did not.
ALTER TABLE exec_events
  ADD COLUMN IF NOT EXISTS writer_start_ns UInt64 COMMENT 'Start of the process that last wrote the file.' AFTER flags,
  ADD COLUMN IF NOT EXISTS written_ns UInt64 COMMENT 'ctime of that write, nanoseconds since the epoch; 0 when the writer is not known.' AFTER writer_start_ns,
  ADD COLUMN IF NOT EXISTS writer_pid UInt32 COMMENT 'Process id of the writer; 0 when it is not known.' AFTER written_ns,
  ADD COLUMN IF NOT EXISTS writer_self_exec_id UInt32 COMMENT 'self_exec_id of the image that wrote.' AFTER writer_pid,
  ADD COLUMN IF NOT EXISTS writer_path LowCardinality(String) COMMENT 'Path of the program that last wrote the file, where the probe knows it.' AFTER parent_path;

ALTER TABLE load_events
  ADD COLUMN IF NOT EXISTS writer_start_ns UInt64 COMMENT 'Start of the process that last wrote the file.' AFTER parent_path,
  ADD COLUMN IF NOT EXISTS written_ns UInt64 COMMENT 'ctime of that write, nanoseconds since the epoch; 0 when the writer is not known.' AFTER writer_start_ns,
  ADD COLUMN IF NOT EXISTS writer_pid UInt32 COMMENT 'Process id of the writer; 0 when it is not known.' AFTER written_ns,
  ADD COLUMN IF NOT EXISTS writer_self_exec_id UInt32 COMMENT 'self_exec_id of the image that wrote.' AFTER writer_pid,
  ADD COLUMN IF NOT EXISTS writer_path LowCardinality(String) COMMENT 'Path of the program that last wrote the file, where the probe knows it.' AFTER writer_self_exec_id;

ALTER TABLE digest_events
  ADD COLUMN IF NOT EXISTS writer_start_ns UInt64 COMMENT 'Start of the process that last wrote the file.' AFTER parent_path,
  ADD COLUMN IF NOT EXISTS written_ns UInt64 COMMENT 'ctime of that write, nanoseconds since the epoch; 0 when the writer is not known.' AFTER writer_start_ns,
  ADD COLUMN IF NOT EXISTS writer_pid UInt32 COMMENT 'Process id of the writer; 0 when it is not known.' AFTER written_ns,
  ADD COLUMN IF NOT EXISTS writer_self_exec_id UInt32 COMMENT 'self_exec_id of the image that wrote.' AFTER writer_pid,
  ADD COLUMN IF NOT EXISTS writer_path LowCardinality(String) COMMENT 'Path of the program that last wrote the file, where the probe knows it.' AFTER writer_self_exec_id;

-- Changes to code.
CREATE TABLE file_events (
  node LowCardinality(String) COMMENT 'Node the event happened on.',
  boot LowCardinality(String) COMMENT 'boot_id of its kernel.',
  probe_epoch UInt64 COMMENT 'Start of the probe, milliseconds since the epoch.',
  ingested_at DateTime64(3, 'UTC') COMMENT 'Time of the plan that stored it.',
  ts DateTime64(9, 'UTC') COMMENT 'When it happened: the kernel boot clock plus the wall-clock offset at reading.',
  cpu UInt32 COMMENT 'CPU that numbered the event.',
  cpu_seq UInt64 COMMENT 'Sequence number on that CPU, taken before the ring reserve: a gap is a loss.',
  pid UInt32 COMMENT 'Process id (tgid) in the initial PID namespace.',
  self_exec_id UInt32 COMMENT 'task->self_exec_id: counts the program images of a process.',
  start_ns UInt64 COMMENT 'Start of the process on the boot clock, nanoseconds.',
  uid UInt32 COMMENT 'Real user id of the process that made the change.',
  action UInt32 COMMENT 'Position in FILE_ACTIONS (schemas/src/file-actions.ts).',
  repeats UInt32 COMMENT 'How often the same image did the same to this file since the event before this one.',
  file_mode UInt32 COMMENT 'inode.i_mode after the change.',
  dev UInt32 COMMENT 'super_block.s_dev in the kernel encoding (major << 20 | minor).',
  generation UInt32 COMMENT 'inode.i_generation; 0 where the filesystem keeps none.',
  ino UInt64 COMMENT 'Inode number.',
  ctime_ns UInt64 COMMENT 'Change time, nanoseconds since the epoch, query flag masked off.',
  mtime_ns UInt64 COMMENT 'Modification time, nanoseconds since the epoch.',
  size UInt64 COMMENT 'File size in bytes.',
  nlink UInt32 COMMENT 'Hard links; 0 once unlinked.',
  writecount Int32 COMMENT 'inode.i_writecount: negative while it is executed, positive while it can be written.',
  fs_magic UInt32 COMMENT 'Superblock magic of the real inode (include/uapi/linux/magic.h).',
  flags UInt32 COMMENT 'Bits of flags.ts.',
  path LowCardinality(String) COMMENT 'A name of the file in the mount namespace of the process; of a renamed one the name before. Empty: not known.',
  target LowCardinality(String) COMMENT 'New name of a renamed or linked file, as the process gave it: relative ones are relative to a folder of its own.',
  cgroup_path LowCardinality(String) COMMENT 'Full path of the cgroup of the process.',
  writer_path LowCardinality(String) COMMENT 'Path of the program that made the change.',
  workload LowCardinality(String) COMMENT 'Workload id derived from the cgroup.',
  container_id LowCardinality(String) COMMENT 'Container id; empty outside containers.',
  image LowCardinality(String) COMMENT 'Image digest; empty when unknown or outside containers.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ingested_at)
ORDER BY (workload, path, ts)
TTL toDateTime(ingested_at) + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;
