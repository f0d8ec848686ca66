import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { hold, letGo, message, newLocation, startProcess, text, wide } from './bus.contract.kit.ts';
import { SetupError } from './errors.ts';
import { open } from './sqlite-bus.contract.ts';

const NOBODY = 65534;
const skip = process.getuid?.() === 0 ? false : 'needs root: it hands files from root to another user';

const startChild = (t: TestContext, ...args: string[]) =>
  startProcess(t, new URL('./sqlite-bus.child.ts', import.meta.url), args);

async function folderOf(uid: number): Promise<string> {
  const folder = await newLocation();
  chownSync(folder, uid, uid);
  chmodSync(folder, 0o700);
  return folder;
}

test('processes that make the bus at the same moment open one and the same', async (t) => {
  const folder = await newLocation();
  const children = Array.from({ length: 4 }, () => startChild(t, folder, 'id'));
  const ids = await Promise.all(children.map(async (child) => (await child.next())?.id));
  for (const child of children) assert.equal(await child.next(), undefined);
  const bus = open(folder);
  assert.deepEqual([...new Set(ids)], [bus.id]);
  await bus.close();
  assert.deepEqual(readdirSync(folder).toSorted(), ['bus.db', 'bus.db-wake']);
});

test('root and the owner of the folder use the bus together; every file belongs to that owner', { skip }, async (t) => {
  const folder = await folderOf(NOBODY);
  const bus = open(folder);
  t.after(() => letGo(bus));
  await bus.publish('to-child', [message('k', 'hello from root')]);
  const { next } = hold(bus, { topic: 'from-child', group: 'root', ...wide });
  const child = startChild(t, folder, 'talk', String(NOBODY));
  assert.equal(text((await next()).plan.records[0]!.value), 'hello from the child');
  const plan = (await child.next()) as { records: { value: string }[] };
  assert.deepEqual(
    plan.records.map((record) => record.value),
    ['hello from root'],
  );
  assert.equal(await child.next(), undefined);
  const files = readdirSync(folder);
  assert.deepEqual(files.toSorted(), ['bus.db', 'bus.db-shm', 'bus.db-wake', 'bus.db-wal']);
  for (const file of files) {
    const { uid, mode } = statSync(join(folder, file));
    assert.deepEqual({ file, uid, mode: mode & 0o777 }, { file, uid: NOBODY, mode: 0o600 });
  }
  assert.equal(process.geteuid?.(), 0);
});

for (const name of ['bus.db', 'bus.db-wal', 'bus.db-wake']) {
  test(`root is not led astray by a link planted as ${name}`, { skip }, async () => {
    const secret = join(await folderOf(0), 'secret');
    writeFileSync(secret, 'only for root', { mode: 0o600 });
    const before = statSync(secret);
    const absent = join(await folderOf(0), 'absent');
    for (const target of [secret, absent]) {
      const planted = await folderOf(NOBODY);
      symlinkSync(target, join(planted, name));
      assert.throws(() => open(planted), SetupError);
    }
    assert.equal(readFileSync(secret, 'utf8'), 'only for root');
    assert.deepEqual([statSync(secret).uid, statSync(secret).mode], [before.uid, before.mode]);
    assert.equal(existsSync(absent), false);
  });
}
