import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decoded, execId, execMessage, execRow } from './events.kit.ts';
import { ancestorsOf, createProcessIndex, learn, type Process, processesOf } from './processes.ts';

describe('the process index', () => {
  const images = (...rows: ReturnType<typeof execRow>[]) => decoded(execMessage(...rows)).flatMap(processesOf);
  const pids = (processes: readonly Process[]) => processes.map(({ pid }) => pid);

  it('tells the images of one process apart', () => {
    const again = execRow(5, 1, { self_exec_id: 2, path: '/bin/true' });
    const child = execRow(6, 5, { parent_self_exec_id: 2 });
    const index = createProcessIndex();
    learn(index, images(execRow(5, 1, { path: '/bin/sh' }), again, child));
    const [parent] = ancestorsOf(index.get(execId(6))!, index.get);
    assert.equal(parent!.path, '/bin/true');
  });

  it('knows no parent of pid 1', () => {
    assert.equal(images(execRow(1, 0))[0]!.parent_exec_id, '');
  });

  it('keeps those that start others, all the way up, through a storm', () => {
    const index = createProcessIndex(100);
    learn(index, images(execRow(1, 0), execRow(2, 1), execRow(3, 2)));
    for (let pid = 1000; pid < 2000; pid += 10) {
      learn(index, images(...Array.from({ length: 10 }, (_, i) => execRow(pid + i, 3))));
    }
    assert.equal(index.size, 100);
    assert.deepEqual(pids(ancestorsOf(index.get(execId(1999))!, index.get)), [3, 2, 1]);
    assert.equal(index.get(execId(1000)), undefined);
  });

  it('walks a circle of broken records once', () => {
    const index = createProcessIndex();
    learn(index, images(execRow(5, 6), execRow(6, 5), execRow(7, 7)));
    assert.deepEqual(pids(ancestorsOf(index.get(execId(5))!, index.get)), [6]);
    assert.deepEqual(pids(ancestorsOf(index.get(execId(7))!, index.get)), []);
  });

  it('bounds the length of a chain', () => {
    const index = createProcessIndex();
    learn(index, images(...Array.from({ length: 200 }, (_, i) => execRow(i + 1, i))));
    assert.equal(ancestorsOf(index.get(execId(200))!, index.get).length, 32);
  });

  it('cuts long arguments', () => {
    const [process] = images(execRow(5, 1, { argv: `/opt/a\0${'x'.repeat(100_000)}\0` }));
    assert.equal(process!.argv.length, 1024);
  });
});
