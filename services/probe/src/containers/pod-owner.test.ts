import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownerOf } from './pod-owner.ts';

// Labels as the controllers of Kubernetes 1.31 write them.
const CASES: [name: string, labels: Record<string, string>, annotations: Record<string, string>, owner: string][] = [
  ['cart-7d4b9c6f5-x2x9z', { 'pod-template-hash': '7d4b9c6f5' }, {}, 'deployment/cart'],
  ['cart-api-7d4b9c6f5-x2x9z', { 'pod-template-hash': '7d4b9c6f5' }, {}, 'deployment/cart-api'],
  ['cart-7d4b9c6f5-x2x9z', { 'pod-template-hash': 'another' }, {}, 'pod/cart-7d4b9c6f5-x2x9z'],
  ['db-2', { 'statefulset.kubernetes.io/pod-name': 'db-2', 'controller-revision-hash': 'db-5b' }, {}, 'statefulset/db'],
  ['db-2', { 'statefulset.kubernetes.io/pod-name': 'db-1' }, {}, 'pod/db-2'],
  ['proxy-x2x9z', { 'controller-revision-hash': '5b', 'pod-template-generation': '1' }, {}, 'daemonset/proxy'],
  ['backup-28912345-x2x9z', { 'batch.kubernetes.io/job-name': 'backup-28912345' }, {}, 'cronjob/backup'],
  ['import-x2x9z', { 'job-name': 'import' }, {}, 'job/import'],
  ['other-x2x9z', { 'job-name': 'import' }, {}, 'pod/other-x2x9z'],
  ['etcd-node-1', {}, { 'kubernetes.io/config.source': 'file' }, 'pod/etcd'],
  ['etcd-node-1', {}, { 'kubernetes.io/config.source': 'api' }, 'pod/etcd-node-1'],
  ['alone', {}, {}, 'pod/alone'],
];

for (const [name, labels, annotations, owner] of CASES) {
  test(`${name} with ${JSON.stringify({ ...labels, ...annotations })} is ${owner}`, () => {
    const found = ownerOf({ name, labels, annotations }, 'node-1');
    assert.equal(`${found.kind}/${found.name}`, owner);
  });
}
