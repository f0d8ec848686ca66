import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  containerMessage,
  containerRow,
  execMessage,
  execRow,
  fileMessage,
  fileRow,
  run,
  sha256Of,
} from './events.kit.ts';
import { createDetectState } from './stage.ts';

const NAMES = { name: 'app', image_ref: 'registry.example/cart:1.4', namespace: 'shop', pod: 'cart-x2x9z' };
const NONE = { name: '', image_ref: '', namespace: '', pod: '' };

const inContainer = (id: string, digit: string) =>
  execMessage(execRow(7, 1, { container_id: id, sha256: sha256Of(digit) }));

test('a finding names its container, told in the same plan, earlier, or not yet', () => {
  const state = createDetectState();
  const found = (...messages: Uint8Array[]) => run(state, messages)[0]?.evidence.container;
  assert.deepEqual(found(inContainer('c1', '1'), containerMessage(containerRow('c1'))), { id: 'c1', ...NAMES });
  assert.deepEqual(found(inContainer('c1', '2')), { id: 'c1', ...NAMES });
  assert.deepEqual(found(inContainer('c2', '3')), { id: 'c2', ...NONE });
  assert.equal(found(inContainer('', '4')), undefined);
});

test('the newest word of a container holds, and its bytes are printable', () => {
  const renamed = [containerRow('c1'), containerRow('c1', { container_name: 'a\xff' })];
  const [finding] = run(createDetectState(), [containerMessage(...renamed), inContainer('c1', '1')]);
  assert.deepEqual(finding?.evidence.container, { id: 'c1', ...NAMES, name: 'a\\xff' });
});

test('a change to code in use names the container of whoever made it', () => {
  const change = fileMessage(fileRow(7, 1, { container_id: 'c1' }));
  const [finding] = run(createDetectState(), [containerMessage(containerRow('c1')), change]);
  assert.equal(finding?.rule, 'modified-after-start');
  assert.deepEqual(finding?.evidence.container, { id: 'c1', ...NAMES });
});
