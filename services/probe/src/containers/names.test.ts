import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ContainerFacts, type ContainerSource, containerWorkload, podWorkload } from './facts.ts';
import { type ContainerTold, createContainerNames } from './names.ts';

const container = (id: string) => ({ containerId: id, runtime: 'podman', workload: `container/podman/${id}` });
const facts = (name: string): ContainerFacts => ({
  ...{ deployedAs: containerWorkload('podman', name), name, imageRef: 'web:1', image: 'sha256:1', imageId: 'sha256:2' },
  ...{ namespace: '', pod: '', podTeller: '', labels: '', createdNs: 5n },
});

function openNames(find: ContainerSource['find'], runtimes = ['podman']) {
  const told: ContainerTold[] = [];
  const source: ContainerSource = { name: 'podman=/socket', runtimes, find, close: () => {} };
  const names = createContainerNames({ sources: [source], nowNs: () => 10n, tell: (one) => told.push(one) });
  return { names, told };
}

test('a container is asked for once, and has its name when it is settled', async () => {
  let asked = 0;
  const { names, told } = openNames(async (id) => {
    asked += 1;
    return facts(`web-${id}`);
  });
  const [first, second] = [names.find(container('a')), names.find(container('a'))];
  assert.equal(first, second);
  assert.deepEqual([first.isSettled, first.workload], [false, 'container/podman/a']);
  await new Promise<void>((resolve) => first.whenSettled(resolve));
  assert.equal(told.length, 1, 'told before rows that waited for it go');
  assert.deepEqual(
    [first.isSettled, first.workload, first.image, asked],
    [true, 'container/podman/web-a', 'sha256:1', 1],
  );
  await delay(0);
  assert.deepEqual(
    told.map(({ workload, validUntilNs }) => [workload, validUntilNs]),
    [['container/podman/web-a', 0n]],
  );
  names.close();
});

test('one whose runtime nobody asks is settled at once', () => {
  const { names } = openNames(async () => facts('web'), ['docker']);
  assert.deepEqual(
    [names.find(container('a')).isSettled, names.find(container('a')).workload],
    [true, 'container/podman/a'],
  );
  names.close();
});

test('a source that fails holds nobody up a second time, and says why', async () => {
  let asked = 0;
  const { names } = openNames(async () => {
    asked += 1;
    throw new Error('no such socket');
  });
  await new Promise<void>((resolve) => names.find(container('a')).whenSettled(resolve));
  const next = names.find(container('b'));
  assert.deepEqual([next.isSettled, next.workload, asked], [true, 'container/podman/b', 1]);
  assert.deepEqual(names.status(), [{ source: 'podman=/socket', state: 'fails', reason: 'no such socket' }]);
  names.close();
});

test('what is learnt too late is told, and the workload stays', async () => {
  const late = Promise.withResolvers<ContainerFacts>();
  const { names, told } = openNames(() => late.promise);
  const name = names.find(container('a'));
  names.close(); // as the end of the time that rows wait
  assert.deepEqual([name.isSettled, name.workload], [true, 'container/podman/a']);
  late.resolve(facts('web'));
  await delay(0);
  assert.deepEqual(
    told.map(({ workload, facts: { deployedAs } }) => [workload, deployedAs]),
    [['container/podman/a', 'container/podman/web']],
  );
  assert.equal(name.workload, 'container/podman/a');
});

test('an end is told by a look that began later, and a restart after it', async () => {
  const { names, told } = openNames(async () => facts('web'));
  await new Promise<void>((resolve) => names.find(container('a')).whenSettled(resolve));
  await delay(0);
  names.onLook(new Set(), 10n);
  assert.equal(told.length, 1, 'first seen while that look went on');
  names.onLook(new Set(['a']), 20n);
  names.onLook(new Set(), 30n);
  names.onLook(new Set(), 40n);
  names.onLook(new Set(['a']), 50n);
  assert.deepEqual(
    told.map(({ validUntilNs }) => validUntilNs),
    [0n, 30n, 0n],
  );
  names.close();
});

test('a pod that is another one now is told anew: from its beginning by the first word of the API server, later from now', async () => {
  const inPod = { ...facts('app'), namespace: 'shop', pod: 'cart-1' };
  let now: ContainerFacts = inPod;
  const { names, told } = openNames(async () => now);
  await new Promise<void>((resolve) => names.find(container('a')).whenSettled(resolve));
  const change = async (change: Partial<ContainerFacts>, pod = { namespace: 'shop', name: 'cart-1' }) => {
    now = { ...now, ...change };
    names.onPod(pod);
    await delay(0);
    return told.map(({ facts: { labels, podTeller }, validFromNs }) => [labels, podTeller, validFromNs]).slice(1);
  };
  assert.deepEqual(await change({}), [], 'nothing else');
  assert.deepEqual(await change({ labels: '1' }, { namespace: 'till', name: 'cart-1' }), [], 'another pod');
  const first = ['1', 'kubernetes', 5n];
  assert.deepEqual(await change({ podTeller: 'kubernetes' }), [first]);
  const second = ['2', 'kubernetes', 10n];
  assert.deepEqual(await change({ labels: '2' }), [first, second]);
  assert.deepEqual(await change({ labels: '1', podTeller: '' }), [first, second], 'what its runtime says is older');
  names.close();
});

test('no name leaves its part of a workload', () => {
  assert.equal(containerWorkload('podman', '../../host'), 'container/podman/..%2F..%2Fhost');
  assert.equal(containerWorkload('podman', 'a/b*\n'), 'container/podman/a%2Fb%2A%0A');
  assert.equal(podWorkload('shop/deployment/x', 'pod', '..', 'app'), 'k8s/shop%2Fdeployment%2Fx/pod/%2E%2E/app');
});
