-- What a package's record was compared by, and two more words for how that went.
ALTER TABLE exec_events
  ADD COLUMN IF NOT EXISTS package_algorithm LowCardinality(String) COMMENT 'Algorithm of the checksum the package records: md5, sha1 or sha256; empty when it records none.';
ALTER TABLE load_events
  ADD COLUMN IF NOT EXISTS package_algorithm LowCardinality(String) COMMENT 'Algorithm of the checksum the package records: md5, sha1 or sha256; empty when it records none.';
ALTER TABLE digest_events
  ADD COLUMN IF NOT EXISTS package_algorithm LowCardinality(String) COMMENT 'Algorithm of the checksum the package records: md5, sha1 or sha256; empty when it records none.';
ALTER TABLE exec_events
  COMMENT COLUMN IF EXISTS package_match 'match, mismatch, no_record, claimed, unread; empty when no package owns the path.';
ALTER TABLE load_events
  COMMENT COLUMN IF EXISTS package_match 'match, mismatch, no_record, claimed, unread; empty when no package owns the path.';
ALTER TABLE digest_events
  COMMENT COLUMN IF EXISTS package_match 'match, mismatch, no_record, claimed, unread; empty when no package owns the path.';
