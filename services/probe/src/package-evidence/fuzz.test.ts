/**
 * Damaged package databases through their readers: each is read as what a database can hold, or refused. Never a crash;
 * a hang ends with the runner's timeout. By hand, other or more inputs of each kind:
 *   BINTRAIL_FUZZ=1000000 BINTRAIL_SEED=7 node --test services/probe/src/package-evidence/fuzz.test.ts
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { mutate, type Random, seededRandom } from '@bintrail/schemas/mutation.fixture.ts';
import { openApk } from './apk.ts';
import { type DpkgPackage, readStanzas } from './dpkg-status.ts';
import { HEX_DIGITS } from './evidence.ts';
import type { PackageRecord, PackageSource } from './package-record.ts';
import { indexList, indexMd5sums } from './path-table.ts';
import { buildIndex, findOwners } from './record-index.ts';
import { rpmHeader, writeRpmDatabase } from './rpm.fixture.ts';
import { openRpm } from './rpm.ts';
import { readRpmHeader } from './rpm-header.ts';
import { MalformedDatabase } from './sqlite-file.ts';
import { checksum, committedPages, FRAME_HEADER_BYTES, HEADER_BYTES, type Sums } from './sqlite-wal.ts';

const INPUTS = Number(process.env.BINTRAIL_FUZZ ?? 5_000);
const SEED = Number(process.env.BINTRAIL_SEED ?? 20_261_129);
const folder = mkdtempSync(join(tmpdir(), 'package-fuzz-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const SHA256 = 'ab'.repeat(32);
const FILES = ['/usr/bin/a', '/usr/bin/b', '/usr/lib/c.so', '/etc/d'].map((path) => ({ path, digest: SHA256 }));
const HEADER = rpmHeader('demo', FILES, { algorithm: 8 });
const DATABASE = readFileSync(writeRpmDatabase(folder, [HEADER, rpmHeader('other', []), HEADER]));
const APK = Buffer.from(
  'P:a\nV:1-r0\nA:x86_64\nF:bin\nR:a\na:0:0:755\nZ:Q1l8JSCTXCOLcFqWpMzkRsELLSgzA=\nR:b\nF:lib\nR:c\n\nP:b\nV:2\nA:all\n\n',
);
const STATUS = Buffer.from(
  'Package: a\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1\n' +
    `Conffiles:\n /etc/a ${'0'.repeat(32)}\n /etc/b newconffile\nDescription: x\n y\n\nPackage: b\nStatus: deinstall ok config-files\n\n`,
);
const SUMS = Buffer.from(`${'0'.repeat(32)}  usr/bin/a\n${'1'.repeat(32)} *./usr/bin/b\n`);

/** Damage where it matters: whole words of the kind that sizes, pages and offsets are, beside bytes at random. */
function damage(bytes: Uint8Array, random: Random): Buffer {
  if (random(3) > 0) return Buffer.from(mutate(bytes, random));
  const damaged = Buffer.from(bytes);
  for (let changes = 1 + random(3); changes > 0; changes--) {
    const value = [0, 1, 2, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, random(4096)][random(8)]!;
    const at = random(damaged.length - 3);
    if (random(2) === 0) damaged.writeUInt32BE(value, at);
    else damaged.writeUInt16BE(value & 0xffff, at);
  }
  return damaged;
}

function checkRecord(record: PackageRecord): void {
  assert.match(`${record.name} ${record.version} ${record.architecture}`, /^[\x21-\x7e]+ [\x21-\x7e]+ [\x21-\x7e]+$/);
  for (const { path, algorithm, digest, record: kind } of record.files) {
    assert.ok(path.startsWith('/') && path.length <= 4096);
    assert.equal(digest.length, algorithm === '' ? 0 : HEX_DIGITS[algorithm]);
    assert.equal(kind === 'none', algorithm === '');
  }
}

/** The whole way: an index, each record again by its place, and questions. */
function checkSource(source: PackageSource): string {
  let found = 0;
  for (const { at, found: record } of source.packages()) {
    if (record === undefined) continue;
    found += 1;
    checkRecord(record);
    assert.deepEqual(source.packageAt(at), record);
  }
  const index = buildIndex(source, 7, () => false);
  for (const { path } of FILES) {
    const asked = { names: [path, path.replace('/usr', '')], recordedAtMs: 0, sealed: false };
    for (const owner of findOwners(index, source, asked)) assert.ok(asked.names.includes(owner.comparedPath));
  }
  return found > 0 ? 'read' : 'empty';
}

const openBytes = (bytes: Buffer, log: Buffer = Buffer.alloc(0)) => {
  let reads = 0;
  return openRpm((offset, length) => {
    // The file twice for the index, and once more for each of the few questions.
    assert.ok(reads++ < 5_000, 'reads without end');
    return bytes.subarray(offset, offset + length);
  }, log);
};

/** A database whose last package is only in its log, and that log. */
function withLog(): { main: Buffer; log: Buffer } {
  const path = writeRpmDatabase(mkdtempSync(join(folder, 'log-')), [HEADER]);
  const db = new DatabaseSync(path);
  db.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0');
  db.prepare('INSERT INTO Packages (blob) VALUES (?)').run(rpmHeader('late', FILES, { algorithm: 8 }));
  const files = { main: readFileSync(path), log: readFileSync(`${path}-wal`) };
  db.close();
  return files;
}
const LOGGED = withLog();
const PAGE_BYTES = 4096;

/** Sums over what is there now: who writes a log for its reader to stumble over writes these too. */
function summed(log: Buffer): Buffer {
  const bigEndian = log.length > 3 && (log.readUInt8(3) & 1) === 1;
  const put = (at: number, [first, second]: Sums) => log.writeUInt32BE(second, log.writeUInt32BE(first, at));
  if (log.length < HEADER_BYTES) return log;
  let sums = checksum(log, 0, HEADER_BYTES - 8, [0, 0], bigEndian);
  put(HEADER_BYTES - 8, sums);
  const frameBytes = FRAME_HEADER_BYTES + PAGE_BYTES;
  for (let at = HEADER_BYTES; at + frameBytes <= log.length; at += frameBytes) {
    sums = checksum(log, at, at + 8, sums, bigEndian);
    sums = checksum(log, at + FRAME_HEADER_BYTES, at + frameBytes, sums, bigEndian);
    put(at + 16, sums);
  }
  return log;
}

const kinds: Record<string, (random: Random) => { bytes: Buffer; check: () => string }> = {
  'rpm headers': (random) => {
    const bytes = damage(HEADER, random);
    const check = () => {
      const record = readRpmHeader(bytes);
      if (record !== undefined) checkRecord(record);
      return record === undefined ? 'refused' : 'read';
    };
    return { bytes, check };
  },
  'rpm databases': (random) => {
    const bytes = damage(DATABASE, random);
    return { bytes, check: () => checkSource(openBytes(bytes)) };
  },
  'logs of rpm databases': (random) => {
    const damaged = damage(LOGGED.log, random);
    const bytes = random(3) > 0 ? summed(damaged) : damaged;
    const check = () => {
      const isApplied = committedPages(bytes, PAGE_BYTES).size > 0;
      return `${checkSource(openBytes(LOGGED.main, bytes))}, ${isApplied ? 'applied' : 'ignored'}`;
    };
    return { bytes, check };
  },
  'apk databases': (random) => {
    const bytes = damage(APK, random);
    return { bytes, check: () => checkSource(openApk(bytes)) };
  },
  'dpkg databases': (random) => {
    const bytes = damage(random(2) === 0 ? STATUS : SUMS, random);
    const check = () => {
      const packages = new Map<string, DpkgPackage>();
      readStanzas(bytes.toString('latin1'), packages);
      for (const { name, present } of packages.values()) assert.ok(!present || /^[A-Za-z0-9][\w+.-]*$/.test(name));
      for (const { hashes, offsets } of [indexList(bytes, 7), indexMd5sums(bytes, 7)]) {
        assert.equal(hashes.length, offsets.length);
        assert.ok(offsets.every((offset) => offset < bytes.length));
      }
      return packages.size > 0 ? 'read' : 'empty';
    };
    return { bytes, check };
  },
};

for (const [kind, make] of Object.entries(kinds)) {
  test(`${INPUTS} damaged ${kind} of seed ${SEED}`, (t) => {
    const tally: Record<string, number> = {};
    const before = process.memoryUsage().rss;
    for (let number = 0; number < INPUTS; number++) {
      const { bytes, check } = make(seededRandom(Math.imul(SEED + number, 0x9e37_79b1)));
      let outcome: string;
      try {
        outcome = check();
      } catch (error) {
        if (!(error instanceof MalformedDatabase)) {
          throw new Error(`input ${number}: ${bytes.toString('hex')}`, { cause: error });
        }
        outcome = 'malformed';
      }
      tally[outcome] = (tally[outcome] ?? 0) + 1;
    }
    t.diagnostic(JSON.stringify(tally));
    assert.ok(Object.keys(tally).length > 1, 'damage must be seen, and some of it survived');
    assert.ok(process.memoryUsage().rss - before < 300 * 2 ** 20);
  });
}
