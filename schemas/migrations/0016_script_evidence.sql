-- How a script is known: run by the kernel, or read by an interpreter that was started by itself. Rows from before have ''.
ALTER TABLE load_events
  ADD COLUMN IF NOT EXISTS script_evidence LowCardinality(String) COMMENT 'Of a script: executed, read, opened, stdin or named.';
