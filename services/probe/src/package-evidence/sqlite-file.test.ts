import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { MalformedDatabase, openSqliteFile, pageBytesOf, rootPageOf, rowAt, tableRows } from './sqlite-file.ts';
import { committedPages } from './sqlite-wal.ts';

const folder = mkdtempSync(join(tmpdir(), 'sqlite-file-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

function openBytes(bytes: Buffer, log: Buffer = Buffer.alloc(0)) {
  const pageBytes = pageBytesOf(bytes.subarray(0, 100));
  const logged = committedPages(log, pageBytes);
  const readPage = (page: number) => {
    const at = logged.get(page);
    if (at !== undefined) return log.subarray(at, at + pageBytes);
    const end = page * pageBytes;
    return end <= bytes.length ? bytes.subarray(end - pageBytes, end) : undefined;
  };
  return openSqliteFile(readPage(1)!, readPage);
}

function blobsBy(bytes: Buffer, log?: Buffer): Buffer[] {
  const file = openBytes(bytes, log);
  return [...tableRows(file, rootPageOf(file, 'Packages')!)].map(({ at, columns }) => {
    assert.deepEqual(rowAt(file, at), columns, 'the same row by its place');
    return columns[1] as Buffer;
  });
}

const blobsBySqlite = (path: string) => {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return db
      .prepare('SELECT blob FROM Packages ORDER BY hnum')
      .all()
      .map(({ blob }) => Buffer.from(blob as Uint8Array));
  } finally {
    db.close();
  }
};

function openDatabase(pageBytes: number, settings = '') {
  const path = join(folder, `${files++}.db`);
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA synchronous = OFF; ${settings};
    CREATE TABLE other (x); CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)`);
  return { path, db };
}

test('reads every row that SQLite reads, in its order, with pages of any size', () => {
  const step = fc.record({ size: fc.oneof(fc.nat(80), fc.nat(3_000), fc.nat(200_000)), drop: fc.boolean() });
  const property = fc.property(
    fc.constantFrom(512, 1024, 4096, 65_536),
    fc.array(step, { maxLength: 60 }),
    (bytes, steps) => {
      const { path, db } = openDatabase(bytes);
      for (const [index, { size, drop }] of steps.entries()) {
        db.prepare('INSERT INTO Packages (blob) VALUES (?)').run(Buffer.alloc(size, index + 1));
        db.prepare('INSERT INTO other VALUES (?)').run(index % 3 ? index * 1e12 : `text ${index}`);
        if (drop) db.prepare('DELETE FROM Packages WHERE hnum = ?').run(Math.ceil(index / 2));
      }
      db.close();
      assert.deepEqual(blobsBy(readFileSync(path)), blobsBySqlite(path));
    },
  );
  fc.assert(property, { numRuns: 25 });
});

test('reads what is committed in the log, and nothing after it', () => {
  const { path, db } = openDatabase(4096, 'PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0');
  for (let round = 0; round < 6; round++) {
    db.exec('BEGIN');
    for (let row = 0; row < 5; row++)
      db.prepare('INSERT INTO Packages (blob) VALUES (?)').run(Buffer.alloc(9_000, round));
    db.exec('COMMIT');
  }
  const [main, log] = [readFileSync(path), readFileSync(`${path}-wal`)];
  assert.equal(blobsBy(main, log).length, 30);
  for (let length = log.length; length > 0; length -= 4_120 * 3 + 7) {
    const copy = join(folder, `${files++}.db`);
    copyFileSync(path, copy);
    const cut = Buffer.from(log.subarray(0, length));

    writeFileSync(`${copy}-wal`, cut);
    let expected: Buffer[] | undefined;
    try {
      expected = blobsBySqlite(copy);
    } catch {
      // Before the table was committed there is none.
    }
    if (expected !== undefined) assert.deepEqual(blobsBy(main, cut), expected, `log of ${length} bytes`);
  }
  db.close();
});

test('a table of another name is none', () => {
  const { path, db } = openDatabase(4096);
  db.exec('CREATE VIEW Viewed AS SELECT * FROM Packages');
  db.close();
  const file = openBytes(readFileSync(path));
  assert.equal(rootPageOf(file, 'Viewed'), undefined);
  assert.equal(rootPageOf(file, 'packages'), undefined);
});

test('pages that lead in circles, and payloads without end, are malformed', () => {
  const { path, db } = openDatabase(512);
  for (let row = 0; row < 200; row++) db.prepare('INSERT INTO Packages (blob) VALUES (?)').run(Buffer.alloc(2_000, 7));
  db.close();
  const good = readFileSync(path);
  const root = rootPageOf(openBytes(good), 'Packages')!;
  const at = (root - 1) * 512;
  assert.equal(good[at], 0x05, 'the root is an interior page');
  const circle = Buffer.from(good);
  circle.writeUInt32BE(root, at + 8);
  assert.throws(() => blobsBy(circle), MalformedDatabase);
  const outside = Buffer.from(good);
  outside.writeUInt32BE(0x7fff_ffff, at + 8);
  assert.throws(() => blobsBy(outside), MalformedDatabase);
  const overflow = Buffer.from(good);
  for (let page = 2; page <= good.length / 512; page++) {
    const kind = good[(page - 1) * 512];
    if (kind === 0) overflow.writeUInt32BE(page, (page - 1) * 512);
  }
  assert.throws(() => blobsBy(overflow), MalformedDatabase);
  assert.throws(() => blobsBy(good.subarray(0, 512)), MalformedDatabase);
  assert.throws(() => pageBytesOf(Buffer.alloc(100)), MalformedDatabase);
});
