/** The probe as a user of its own with its five capabilities, and what is refused to one that lacks any of them. */
import assert from 'node:assert/strict';
import { type ExecFileException, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { effectiveCapabilities, PROBE_CAPABILITIES } from '@bintrail/probe/host.ts';
import { ownFolders, probeCommand } from '@bintrail/probe/launch.ts';
import { mountBpffs } from './bpffs.ts';
import { startProbeApart } from './probe-apart.ts';
import { BPF_OBJECT, run, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? (process.getuid?.() === 0 ? false : 'needs root');
const NOBODY = { uid: 65_534, gid: 65_534 };
/** CAP_SYS_NICE, of whoever starts the probe. */
const canRaise = (effectiveCapabilities(readFileSync('/proc/self/status', 'utf8')) & (1n << 23n)) !== 0n;
const CHILD = fileURLToPath(new URL('./capabilities.child.ts', import.meta.url));
const PROBE = fileURLToPath(new URL('../../../services/probe/src/main.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'bintrail-capabilities-'));
after(() => rmSync(folder, { recursive: true, force: true }));
// What is to be reached without any right must not lie behind a closed door.
chmodSync(folder, 0o711);

/** As the launcher gives them, without some. */
function commandWithout(...names: readonly string[]): string[] {
  const gone = names.map((name) => `,+${name.slice('CAP_'.length).toLowerCase()}`);
  return probeCommand(NOBODY).map((word) => gone.reduce((left, one) => left.replace(one, ''), word));
}

/** proc_pid_stat(5), 17th after the name in brackets. */
function niceOf(folder: string): number {
  const stat = readFileSync(`${folder}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
}

function homeOf(name: string): string {
  const home = join(folder, name);
  mkdirSync(home);
  chownSync(home, NOBODY.uid, NOBODY.gid);
  return home;
}

/** A program that nobody else may read, which stays for a while. */
function closedProgram(name: string): string {
  const path = join(folder, name);
  copyFileSync('/bin/sleep', path);
  chmodSync(path, 0o700);
  return path;
}

test('a probe of nobody’s sees execs, their digests, memfd programs, and keeps the census', { skip }, async (t) => {
  const program = closedProgram('closed-program');
  await delay(50);
  const bpffs = await mountBpffs();
  ownFolders(NOBODY, bpffs.folder);
  process.env.BINTRAIL_CENSUS = bpffs.folder;
  try {
    const probe = await startProbeApart(homeOf('home'), probeCommand(NOBODY));
    t.after(probe.kill);
    const nices = readdirSync(`/proc/${probe.pid}/task`).map((thread) => niceOf(`/proc/${probe.pid}/task/${thread}`));
    if (canRaise) assert.ok(nices.includes(-10), `the reader goes before others: ${nices}`);
    assert.equal(niceOf(`/proc/${probe.pid}`), 0, 'the main thread does not');
    const status = readFileSync(`/proc/${probe.pid}/status`, 'utf8');
    assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
    for (const set of ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) assert.ok(status.includes(`${set}:\t000000c000280004`));
    await run(program, ['0.3']);
    const fileless =
      'import os; f = os.memfd_create("x", 0); os.write(f, open("/bin/sleep", "rb").read()); os.execv(f"/proc/self/fd/{f}", ["fileless", "2"])';
    await run('python3', ['-c', fileless]);
    const rows = await probe.stop();
    const execs = rows.filter(({ event }) => event === 'exec');
    const closed = execs.find(({ path }) => path === program);
    assert.equal(closed?.digest_strength, 'exact');
    const memfd = execs.find(({ argv }) => argv === 'fileless\x002\0');
    const late = rows.find((row) => row.event === 'digest' && row.pid === memfd?.pid && row.path === memfd?.path);
    assert.equal((late ?? memfd)?.sha256, closed?.sha256);
    assert.equal((late ?? memfd)?.digest_source, 'exe');
    assert.ok(
      rows.some(({ event, execs: counted }) => event === 'census' && counted > 0n),
      'the census of its own',
    );
  } finally {
    delete process.env.BINTRAIL_CENSUS;
    await bpffs.remove();
  }
});

for (const name of PROBE_CAPABILITIES) {
  test(`without ${name} the probe ends, and says what fails`, { skip }, async () => {
    const [command = '', ...args] = [...commandWithout(name), process.execPath, PROBE];
    const env = { ...process.env, BINTRAIL_HOME: homeOf(`home-${name}`) };
    const failure = await run(command, args, { env }).then(
      () => assert.fail('it started'),
      (error: ExecFileException & { stderr: string }) => error,
    );
    assert.equal(failure.code, 78);
    const lines = failure.stderr.split('\n').filter((line) => line.includes('CAP_'));
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, new RegExp(`^ *${name}, without which .+: run as root`));
  });
}

// CAP_SYS_ADMIN stands in for CAP_BPF and CAP_PERFMON, so those two are tried without it.
const refusals: Record<string, { without: string[]; refused: string[] }> = {
  nothing: { without: [], refused: [] },
  CAP_SYS_ADMIN: { without: ['CAP_SYS_ADMIN'], refused: ['mark filesystems'] },
  'CAP_BPF, nor CAP_SYS_ADMIN': {
    without: ['CAP_BPF', 'CAP_SYS_ADMIN'],
    refused: ['load BPF programs', 'mark filesystems'],
  },
  'CAP_PERFMON, nor CAP_SYS_ADMIN': {
    without: ['CAP_PERFMON', 'CAP_SYS_ADMIN'],
    refused: ['load BPF programs', 'mark filesystems'],
  },
  CAP_SYS_PTRACE: { without: ['CAP_SYS_PTRACE'], refused: ['look at processes of others'] },
  CAP_DAC_READ_SEARCH: { without: ['CAP_DAC_READ_SEARCH'], refused: ['read files of others'] },
};
for (const [lacking, { without, refused }] of Object.entries(refusals)) {
  test(`what the kernel refuses to whoever lacks ${lacking}`, { skip }, async (t) => {
    const closed = join(folder, 'closed-file');
    writeFileSync(closed, 'x');
    chmodSync(closed, 0o600);
    const other = spawn('sleep', ['60'], { stdio: 'ignore' });
    t.after(() => other.kill('SIGKILL'));
    await once(other, 'spawn');
    const [command = '', ...args] = [...commandWithout(...without), process.execPath, CHILD];
    const { stdout } = await run(command, [...args, BPF_OBJECT, closed, String(other.pid)]);
    assert.deepEqual(JSON.parse(stdout), refused);
  });
}

test('it may ask at the sockets of container runtimes, by their groups', { skip }, async (t) => {
  const path = join(folder, 'runtime.sock');
  const runtime = createServer((connection) => connection.end('asked')).listen(path);
  await once(runtime, 'listening');
  t.after(() => runtime.close());
  chownSync(path, 0, 12_345);
  chmodSync(path, 0o660);
  const ask = `require('node:net').connect(${JSON.stringify(path)}).on('data', (text) => process.stdout.write(text))
    .on('error', (error) => process.stdout.write(error.code))`;
  const answer = async (sockets: Parameters<typeof probeCommand>[1]) => {
    const [command = '', ...args] = [...probeCommand(NOBODY, sockets), process.execPath, '-e', ask];
    return (await run(command, args)).stdout;
  };
  assert.equal(await answer([{ runtime: 'podman', path }]), 'asked');
  assert.equal(await answer([{ runtime: 'podman', path: '/nonexistent' }]), 'EACCES');
});
