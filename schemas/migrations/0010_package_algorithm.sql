-- What a package's record was compared by.
ALTER TABLE exec_events
  ADD COLUMN IF NOT EXISTS package_algorithm LowCardinality(String) COMMENT 'Algorithm of the checksum the package records: md5, sha1 or sha256; empty when it records none.';
ALTER TABLE load_events
  ADD COLUMN IF NOT EXISTS package_algorithm LowCardinality(String) COMMENT 'Algorithm of the checksum the package records: md5, sha1 or sha256; empty when it records none.';
ALTER TABLE digest_events
  ADD COLUMN IF NOT EXISTS package_algorithm LowCardinality(String) COMMENT 'Algorithm of the checksum the package records: md5, sha1 or sha256; empty when it records none.';
