-- What lies unread in the kernel at each sign of life of a probe.
ALTER TABLE heartbeat_events
  ADD COLUMN IF NOT EXISTS ring_backlog_bytes UInt64 COMMENT 'Bytes of events in the ring, not yet read.',
  ADD COLUMN IF NOT EXISTS fanotify_backlog_bytes UInt64 COMMENT 'Bytes of file events in the kernel, not yet read; 24 for each opened file.';
