/** Libraries that change while they are loaded: whatever the probe calls exact is what the driver had put there. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run, type SeenRow, watchKernel, whyNotHere } from '../kernel/probe-kit.ts';

const LOADER_SOURCE = fileURLToPath(new URL('../kernel/loader.c', import.meta.url));
const LOOPS = 3;
const TURNS = 400;

const folder = mkdtempSync(join(tmpdir(), 'bintrail-load-storm-'));
after(() => rmSync(folder, { recursive: true }));

const digestOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

/** What each process of a loop loaded, by its id, as the driver knows it. */
async function storm(loader: string, path: string, contents: readonly [string, string]): Promise<Map<number, string>> {
  const digests = contents.map(digestOf);
  const { stdout } = await run(loader, ['storm', path, ...contents, `${TURNS}`], { maxBuffer: 1 << 24 });
  const loaded = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map(Number) as [number, number, number]);
  // One whose library was unlinked before it was there to open it ends without.
  return new Map(loaded.flatMap(([pid, which, status]) => (status === 0 ? [[pid, digests[which]!]] : [])));
}

/** Each load of these files once, with the digest that may have come later. */
function loadsOf(rows: readonly SeenRow[], paths: readonly string[]): SeenRow[] {
  const late = new Map(rows.filter(({ event }) => event === 'digest').map((row) => [`${row.pid} ${row.path}`, row]));
  return rows
    .filter(({ event, path, role }) => event === 'load' && role === 'library' && paths.includes(path))
    .map((row) =>
      row.digest_reason === 'pending' ? { ...row, ...late.get(`${row.pid} ${row.path}`), event: row.event } : row,
    );
}

test('no exact digest of a library is wrong, and no load is lost', {
  skip: whyNotHere() ?? false,
  timeout: 180_000,
}, async (t) => {
  const loader = join(folder, 'loader');
  await run('cc', ['-O1', '-o', loader, LOADER_SOURCE]);
  await run('sh', ['-c', `echo 'int one(void) { return 1; }' | cc -shared -fPIC -o ${folder}/a.so -xc -`]);
  copyFileSync(join(folder, 'a.so'), join(folder, 'b.so'));
  appendFileSync(join(folder, 'a.so'), '#a');
  appendFileSync(join(folder, 'b.so'), '#b');
  const contents = [join(folder, 'a.so'), join(folder, 'b.so')] as const;
  const paths = Array.from({ length: LOOPS }, (_, loop) => join(folder, `${loop}`, 'lib.so'));
  for (const path of paths) mkdirSync(join(path, '..'));

  const watched = await watchKernel();
  const truths = await Promise.all(paths.map((path) => storm(loader, path, contents)));
  await watched.stop();

  const loads = loadsOf(watched.rows(), paths);
  const known = new Map(truths.flatMap((truth) => [...truth]));
  const wrong = loads.filter(
    ({ pid, digest_strength, sha256 }) => digest_strength === 'exact' && known.has(pid) && known.get(pid) !== sha256,
  );
  assert.deepEqual(wrong, []);
  const total = loads.reduce((sum, { repeats }) => sum + 1 + repeats, 0);
  assert.ok(total >= known.size, `${total} of ${known.size} loads`);
  const told = Map.groupBy(loads, ({ digest_strength, digest_reason }) => digest_strength || digest_reason);
  const counts = Object.fromEntries([...told].map(([word, rows]) => [word, rows.length]));
  t.diagnostic(`${known.size} loads: ${JSON.stringify(counts)}`);
  // How many it is depends on how busy the machine is; none would prove nothing.
  assert.ok((counts.exact ?? 0) >= 10, JSON.stringify(counts));
  assert.equal(counts[''] ?? 0, 0, 'each has a digest or a reason');
});
