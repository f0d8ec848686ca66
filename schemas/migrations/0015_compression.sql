-- What there are most of takes the least room: by `npm run bench -- storage` an exec 17 bytes in place of 28, an exit 3 in
-- place of 12, for a seventh more CPU of the bare insert. What was stored before is packed anew when parts are merged.
ALTER TABLE exec_events MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE exec_events
  MODIFY COLUMN ingested_at CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN ts CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN cpu_seq CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN start_ns CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN parent_start_ns CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN ctime_ns CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN mtime_ns CODEC(Delta, ZSTD(1));
ALTER TABLE exit_events MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE exit_events
  MODIFY COLUMN ingested_at CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN ts CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN cpu_seq CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN start_ns CODEC(Delta, ZSTD(1));
ALTER TABLE load_events MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE load_events
  MODIFY COLUMN ingested_at CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN ts CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN start_ns CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN ctime_ns CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN mtime_ns CODEC(Delta, ZSTD(1));
ALTER TABLE file_events MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE file_events
  MODIFY COLUMN ingested_at CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN ts CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN cpu_seq CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN start_ns CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN ctime_ns CODEC(Delta, ZSTD(1)),
  MODIFY COLUMN mtime_ns CODEC(Delta, ZSTD(1));
