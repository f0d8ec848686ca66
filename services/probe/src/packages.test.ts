import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import type { Answer, Question } from './package-evidence/container-packages.ts';
import type { Owner } from './package-evidence/evidence.ts';
import { type Asked, createContainerOwners, packageColumns } from './packages.ts';
import { noDigest, type Reading } from './reading.ts';
import { EXEC, READING } from './record-path.fixture.ts';

const OWNER: Owner = {
  ...{ manager: 'apk', package: 'busybox', version: '1.36', architecture: 'x86_64', comparedPath: '/bin/busybox' },
  ...{ record: 'packaged', algorithm: 'sha1', digest: 'a'.repeat(40), recordedAtMs: 0, settled: true, sealed: true },
};
const LOWER = flagBit('overlay');
const ASKED: Asked = {
  ...{ path: '/bin/busybox', flags: LOWER, file: EXEC, container_id: 'c1', image: 'sha256:1', pid: 7, mnt_ns: 5 },
  tsNs: 1_000_000_000n,
};
const GONE: Answer = { outcome: 'gone', owners: [], why: '' };
const found = (owner: Partial<Owner> = {}, pid = 7): Answer => ({
  ...{ outcome: 'answered', owners: [{ ...OWNER, ...owner }], why: '', pid },
});

/** Owners by these answers, one after the other, and what was asked. */
function openOwners(...answers: Answer[]) {
  const questions: Question[] = [];
  const owners = createContainerOwners(async (question) => {
    questions.push(question);
    return answers.shift() ?? GONE;
  });
  const pids = () => questions.map(({ where }) => (where === 'host' ? [] : where.pids));
  return { ...owners, questions, pids };
}

test('once its image has answered, a container that is gone has the same answer', async () => {
  const { ownersOf, questions } = openOwners(found());
  await ownersOf(ASKED);
  assert.deepEqual(await ownersOf({ ...ASKED, container_id: 'c2', mnt_ns: 6 }), [OWNER]);
  assert.equal(questions.length, 2);
});

for (const [what, first, then] of [
  ['of another image', {}, { image: 'sha256:2' }],
  ['of an image that is not known', { image: '' }, { image: '' }],
  ['that was written in the container', {}, { flags: LOWER | flagBit('upper_layer') }],
  ['on no overlay', { flags: 0 }, { flags: 0 }],
  ['of another inode', {}, { file: { ...EXEC, ino: 1n } }],
] as const) {
  test(`a file ${what} has no answer when all are gone`, async () => {
    const { ownersOf } = openOwners(found());
    await ownersOf({ ...ASKED, ...first });
    assert.equal(await ownersOf({ ...ASKED, container_id: 'c2', ...then }), 'unread');
  });
}

test('what an open database claimed is no answer for others', async () => {
  const { ownersOf } = openOwners(found({ sealed: false }));
  await ownersOf(ASKED);
  assert.equal(await ownersOf({ ...ASKED, container_id: 'c2' }), 'unread');
});

test('many runs of one file ask once, and what could not be read is asked again', async (context) => {
  let nowMs = 1_000;
  context.mock.method(performance, 'now', () => nowMs);
  const { ownersOf, questions } = openOwners(GONE, found(), found());
  for (let run = 0; run < 5; run++) await ownersOf(ASKED);
  assert.equal(questions.length, 2);
  nowMs += 3_000;
  await ownersOf(ASKED);
  assert.equal(questions.length, 3);
});

test('the process that answered is asked first, in its own container only', async () => {
  const files = Array.from({ length: 6 }, (_, index) => ({ ...EXEC, ino: BigInt(index) }));
  const { ownersOf, pids } = openOwners(...files.map(() => found({}, 7)));
  for (const [index, file] of files.entries()) await ownersOf({ ...ASKED, file, pid: 7 + index });
  assert.ok(pids().every((asked) => asked[0] === 7 && asked.length <= 4));
  assert.deepEqual(pids().at(-1)!.includes(12), true);
  await ownersOf({ ...ASKED, container_id: 'c2', pid: 99 });
  assert.deepEqual(pids().at(-1), [99]);
});

test('what was compared decides the word', async () => {
  const reading: Reading = { ...READING, sha1: OWNER.digest };
  const wordOf = async (owner: Partial<Owner>, read: Reading | undefined = reading) => {
    const columns = await packageColumns(async () => [{ ...OWNER, ...owner }], ASKED, noDigest('timeout'), read);
    return `${columns.package} ${columns.package_match} ${columns.package_algorithm}`;
  };
  assert.equal(await wordOf({}), 'apk:busybox:x86_64 match sha1');
  assert.equal(await wordOf({ sealed: false }), 'apk:busybox:x86_64 claimed sha1');
  assert.equal(await wordOf({ digest: 'b'.repeat(40) }), 'apk:busybox:x86_64 mismatch sha1');
  assert.equal(await wordOf({ digest: 'b'.repeat(40), record: 'conffile' }), 'apk:busybox:x86_64 no_record sha1');
  assert.equal(await wordOf({}, READING), 'apk:busybox:x86_64 no_record sha1', 'nobody computed a SHA-1');
  assert.equal(await wordOf({ record: 'none', algorithm: '', digest: '' }), 'apk:busybox:x86_64 no_record ');
  const unread = await packageColumns(async () => 'unread', ASKED, noDigest('timeout'), reading);
  assert.deepEqual([unread.package, unread.package_match], ['', 'unread']);
});
