import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Workload, workloadOf } from './workload.ts';

const ID = '3f1c0de5b1a2'.padEnd(64, 'ab');
const OTHER = 'f00dcafe9876'.padEnd(64, '01');
const POD = '0a1b2c3d-1111-2222-3333-444455556666';
const SHORT = ID.slice(0, 12);

const names = (uid: number) =>
  new Map([
    [0, 'root'],
    [1000, 'alice'],
    [1001, 'corp\\bob/x'],
  ]).get(uid);

type Row = readonly [path: string, workload: string, rest?: Partial<Workload>];

const CONTAINERS: readonly Row[] = [
  [`/docker/${ID}`, `container/docker/${SHORT}`, { containerId: ID, runtime: 'docker', unit: '' }],
  [`/system.slice/docker-${ID}.scope`, `container/docker/${SHORT}`, { unit: `docker-${ID}.scope` }],
  [`/system.slice/docker-${ID}.scope/init/worker`, `container/docker/${SHORT}`],
  [`/batch.slice/docker-${ID}.scope`, `container/docker/${SHORT}`],
  [`/actions_job/${ID}`, `container/docker/${SHORT}`, { runtime: 'docker' }],
  [`/ecs/prod/7ab1/${ID}`, `container/docker/${SHORT}`],
  [`/docker/buildkit/x1kq0zt5o8m2c7v4b9n6a3s1d`, 'container/docker/buildkit'],
  ['/system.slice/docker-x1kq0zt5o8m2c7v4b9n6a3s1d.scope', 'container/docker/buildkit'],
  [
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${POD.replaceAll('-', '_')}.slice/cri-containerd-${ID}.scope`,
    `container/containerd/${SHORT}`,
    { runtime: 'containerd', unit: `cri-containerd-${ID}.scope` },
  ],
  [`/kubepods/besteffort/pod${POD}/${ID}`, `container/containerd/${SHORT}`, { unit: '' }],
  [`/kubepods/pod${POD}/${ID}/system.slice/nginx.service`, `container/containerd/${SHORT}`],
  [
    `/system.slice/containerd.service/kubepods-pod${POD}.slice:cri-containerd:${ID}`,
    `container/containerd/${SHORT}`,
    { unit: 'containerd.service' },
  ],
  [`/default/${ID}`, `container/containerd/${SHORT}`],
  [`/system.slice/nerdctl-${ID}.scope`, `container/containerd/${SHORT}`],
  [`/kubepods.slice/kubepods-pod1.slice/crio-${ID}.scope/container`, `container/cri-o/${SHORT}`],
  [`/kubepods/burstable/pod${POD}/crio-${ID}`, `container/cri-o/${SHORT}`],
  [`/machine.slice/libpod-${ID}.scope/container`, `container/podman/${SHORT}`],
  [`/machine.slice/machine-libpod_pod_${OTHER}.slice/libpod-${ID}.scope`, `container/podman/${SHORT}`],
  [`/libpod_parent/libpod-${ID}`, `container/podman/${SHORT}`],
  [
    `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope/container`,
    `container/podman/${SHORT}`,
    { unit: 'user@1000.service' },
  ],
  [`/system.slice/web.service/libpod-payload-${ID}`, `container/podman/${SHORT}`, { unit: 'web.service' }],
  ['/lxc.payload.web-1', 'container/lxc/web-1', { containerId: 'web-1', runtime: 'lxc' }],
  ['/lxc.payload.web-1/system.slice/nginx.service', 'container/lxc/web-1', { unit: '' }],
  ['/lxc/101/ns/init.scope', 'container/lxc/101'],
  ['/machine.slice/machine-build\\x2dbox.scope/payload/init.scope', 'container/nspawn/build-box'],
  ['/machine.slice/systemd-nspawn@web.service/payload', 'container/nspawn/web', { unit: 'systemd-nspawn@web.service' }],
  ['/machine.slice/machine-lxc\\x2d4711\\x2dold.scope', 'container/libvirt-lxc/old'],
  [`/foo/${ID}`, `container/oci/${SHORT}`, { runtime: 'oci' }],
  // docker in docker, kind, and a container that poses as another: the outer one decides
  [`/docker/${ID}/docker/${OTHER}`, `container/docker/${SHORT}`],
  [`/system.slice/docker-${ID}.scope/kubelet/kubepods/burstable/pod1/${OTHER}`, `container/docker/${SHORT}`],
  [`/lxc.payload.ci/docker/${OTHER}`, 'container/lxc/ci'],
];

const UNITS: readonly Row[] = [
  ['/', 'host', { unit: '', containerId: '', runtime: '' }],
  ['', 'host'],
  ['/system.slice', 'host'],
  ['/user.slice', 'host'],
  ['/lxc.monitor.web-1', 'host'],
  ['/process_api/05bd1892d16aec60ff8aff2c63348c55', 'host'],
  ['/init.scope', 'systemd/init.scope', { unit: 'init.scope' }],
  ['/system.slice/nginx.service', 'systemd/nginx.service', { unit: 'nginx.service' }],
  ['/system.slice/nginx.service/workers/1', 'systemd/nginx.service'],
  ['/system.slice/actions.runner.acme-web.build01.service', 'systemd/actions.runner.acme-web.build01.service'],
  ['/azure.slice/walinuxagent.service', 'systemd/walinuxagent.service'],
  ['/system.slice/system-getty.slice/getty@tty1.service', 'systemd/getty@.service', { unit: 'getty@tty1.service' }],
  ['/system.slice/system-foo.slice/foo@bar.service', 'systemd/foo@.service', { unit: 'foo@bar.service' }],
  ['/system.slice/sshd@12-10.0.0.1:22-10.0.0.9:5555.service', 'systemd/sshd@.service'],
  ['/system.slice/dev-disk-by\\x2duuid.swap', 'systemd/dev-disk-by\\x2duuid.swap'],
  ['/system.slice/_cpu.service', 'systemd/cpu.service', { unit: 'cpu.service' }],
  ['/system.slice/run-u42.service', 'systemd/run-~.service', { unit: 'run-u42.service' }],
  ['/system.slice/run-r0123456789abcdef0123456789abcdef.scope', 'systemd/run-~.scope'],
  ['/system.slice/run-p812-i4711.service', 'systemd/run-~.service'],
  [`/nomad.slice/share.slice/${POD}.web.scope`, 'systemd/~.web.scope'],
  ['/machine.slice/machine-qemu\\x2d7\\x2ddb.scope/libvirt/emulator', 'systemd/machine-qemu\\x2d~\\x2ddb.scope'],
  ['/machine.slice/systemd-nspawn@web.service/supervisor', 'systemd/systemd-nspawn@.service'],
  [`/machine.slice/libpod-conmon-${ID}.scope`, 'systemd/libpod-conmon-~.scope', { containerId: '', runtime: '' }],
  [`/kubepods.slice/kubepods-pod1.slice/crio-conmon-${ID}.scope`, 'systemd/crio-conmon-~.scope'],
  [`/system.slice/${ID}-1f2e3d4c.service`, 'systemd/~.service'],
  // below a service's own delegation names are free: the service stays the workload
  ['/system.slice/build.service/nginx.service', 'systemd/build.service'],
];

const SESSIONS: readonly Row[] = [
  ['/user.slice/user-1000.slice/session-3.scope', 'session/alice', { unit: 'session-3.scope' }],
  ['/user.slice/user-1000.slice', 'session/alice', { unit: '' }],
  ['/user.slice/user-1000.slice/user@1000.service/init.scope', 'session/alice', { unit: 'user@1000.service' }],
  ['/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.foo.service', 'session/alice'],
  ['/user.slice/user-0.slice/session-c1.scope', 'session/root'],
  ['/user.slice/user-4242.slice/session-9.scope', 'session/4242'],
  ['/user.slice/user-1001.slice/session-9.scope', 'session/corp\\bob%2Fx'],
  ['/user.slice/user-1000.slice/user-runtime-dir@1000.service', 'systemd/user-runtime-dir@.service'],
  ['/user.slice/user-99999999999.slice/session-1.scope', 'systemd/session-1.scope'],
  ['/system.slice/user.slice/user-1000.slice', 'host'],
];

for (const [title, rows] of Object.entries({ CONTAINERS, UNITS, SESSIONS })) {
  test(`real paths: ${title.toLowerCase()}`, () => {
    for (const [path, workload, rest] of rows) {
      const got = workloadOf(path, names);
      assert.equal(got.workload, workload, path);
      for (const [key, value] of Object.entries(rest ?? {})) assert.equal(got[key as keyof Workload], value, path);
    }
  });
}

test('a name cannot add a part to the id', () => {
  assert.equal(workloadOf('/lxc.payload.a b%2F\xff', names).workload, 'container/lxc/a%20b%252F%FF');
  assert.equal(workloadOf('/machine.slice/machine-a\\x2fb.scope', names).workload, 'container/nspawn/a%2Fb');
  assert.equal(workloadOf('/lxc.payload...', names).workload, 'container/lxc/%2E%2E');
  assert.equal(workloadOf('/user.slice/user-7.slice', () => '../Ω').workload, 'session/..%2F%CE%A9');
});

test('long names that differ at their end stay two', () => {
  const one = workloadOf(`/lxc.payload.${'x'.repeat(400)}1`, names).workload;
  const two = workloadOf(`/lxc.payload.${'x'.repeat(400)}2`, names).workload;
  assert.notEqual(one, two);
  assert.equal(one.length, 'container/lxc/'.length + 255);
});

const bytes = fc.uint8Array({ maxLength: 400 }).map((array) => Buffer.from(array).toString('latin1'));
const pieces = fc.constantFrom(
  'user.slice',
  'user-1000.slice',
  'system.slice',
  'machine.slice',
  'lxc',
  `docker-${ID}.scope`,
  'lxc.payload.',
  'machine-',
  '.scope',
  '.service',
  'foo@',
  '\\x2f',
  '..',
  '%',
  '~',
  '/',
  ID,
);
const paths = fc.oneof(
  bytes,
  fc.array(fc.oneof(pieces, bytes), { maxLength: 12 }).map((parts) => parts.join('')),
);

test('any bytes give an id of safe parts and bounded length', () => {
  const part = /^[A-Za-z0-9:_.@\\+~%-]{1,255}$/;
  fc.assert(
    fc.property(paths, bytes, (path, user) => {
      const got = workloadOf(path, () => user);
      const parts = got.workload.split('/');
      assert.ok(parts.length === { container: 3, systemd: 2, session: 2, host: 1 }[parts[0] as 'host'], got.workload);
      for (const text of parts) assert.ok(part.test(text) && text !== '..' && text !== '.', got.workload);
      for (const text of [got.containerId, got.unit]) assert.ok(text === '' || part.test(text), text);
      assert.equal(got.runtime !== '', parts[0] === 'container');
    }),
    { numRuns: 3000 },
  );
});
