import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type AccessSettings, kubernetesAccess, kubernetesServer } from './access.ts';

const account = mkdtempSync(join(tmpdir(), 'bt-account-'));
after(() => rmSync(account, { recursive: true }));

const accessOf = (settings: Partial<AccessSettings>) =>
  kubernetesAccess({ server: 'auto', account, node: 'node-1', host: undefined, port: '443', ...settings });

test('the API server is a word or an address with TLS, and nothing else', () => {
  const parsed = (text: string) => kubernetesServer.parse(text)?.toString();
  assert.deepEqual(['auto', 'none'].map(parsed), ['auto', 'none']);
  assert.equal(parsed('https://10.0.0.1:6443'), 'https://10.0.0.1:6443/');
  const refused = ['http://10.0.0.1', 'https://user:secret@host', 'https://host/?token=x', 'kubernetes', ''];
  assert.deepEqual(
    refused.map(parsed),
    refused.map(() => undefined),
  );
});

test('by itself a probe asks only where it is a pod with a service account', () => {
  assert.equal(accessOf({}), undefined);
  assert.equal(accessOf({ host: '10.96.0.1' }), undefined, 'no token');
  writeFileSync(join(account, 'token'), 'x');
  assert.equal(accessOf({}), undefined, 'no cluster');
  const access = accessOf({ host: '10.96.0.1' });
  assert.equal(access?.server.href, 'https://10.96.0.1/');
  assert.deepEqual([access?.tokenPath, access?.caPath], [join(account, 'token'), join(account, 'ca.crt')]);
  assert.equal(accessOf({ host: 'fd00::1', port: '6443' })?.server.href, 'https://[fd00::1]:6443/');
  assert.equal(accessOf({ host: '10.96.0.1', server: 'none' }), undefined);
  assert.equal(accessOf({ server: new URL('https://api.example:6443') })?.server.host, 'api.example:6443');
});
