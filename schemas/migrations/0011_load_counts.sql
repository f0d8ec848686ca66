-- A load may stand for several: the kernel counts what it met before, and a row tells the count. A late digest moves as
-- many. Rows from before have 0 further ones.
ALTER TABLE load_events
  ADD COLUMN IF NOT EXISTS repeats UInt32 COMMENT 'Further loads that this row stands for: the same file, by the same program, user and workload. Such a row has no process.';
ALTER TABLE digest_events
  ADD COLUMN IF NOT EXISTS repeats UInt32 COMMENT 'Further loads that the resolved row stands for.';
