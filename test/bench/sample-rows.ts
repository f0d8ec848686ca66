/**
 * Exec rows as a busy host has them, made from programs that are really here, so that package look-ups and digests are
 * the real ones. The same host gives the same rows each time.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { exec } from '@bintrail/schemas/exec.ts';
import type { RowOf } from '@bintrail/schemas/field.ts';
import { seededRandom } from '@bintrail/test/seeded-random.ts';

export type ExecRow = RowOf<typeof exec>;

/** A file of this host, with what the kernel would say of it. */
export type Program = Pick<ExecRow, 'path' | 'dev' | 'generation' | 'ino' | 'ctime_ns' | 'mtime_ns' | 'size' | 'nlink'>;

const FOLDERS = ['/usr/bin', '/usr/sbin', '/usr/local/bin'];
const MAX_PROGRAM_BYTES = 2 * 1024 * 1024;
const EXT4_MAGIC = 0xef53;
/** Programs a host runs by turns, and how many of its execs bring another one. */
const AT_A_TIME = 12;
const CHANGE_SHARE = 0.03;
const UNSET_UID = 0xffff_ffff;
const DAY_NS = 86_400_000_000_000n;

/** Up to `count` executables of this host that are no links, by name. */
export function hostPrograms(count: number): Program[] {
  const paths = FOLDERS.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
  const programs: Program[] = [];
  for (const path of paths.sort()) {
    const { dev, ino, ctimeNs, mtimeNs, size, nlink, mode } = lstatSync(path, { bigint: true });
    const isProgram = (mode & 0o170000n) === 0o100000n && (mode & 0o111n) !== 0n;
    if (!isProgram || size === 0n || size > MAX_PROGRAM_BYTES) continue;
    const times = { ctime_ns: ctimeNs, mtime_ns: mtimeNs };
    programs.push({ path, dev: Number(dev & 0xffffn), generation: 1, ino, ...times, size, nlink: Number(nlink) });
    if (programs.length === count) break;
  }
  return programs;
}

const container = (letter: string) => `/system.slice/docker-${letter.repeat(64)}.scope`;
const CGROUPS = [
  '/system.slice/cron.service',
  '/system.slice/nginx.service',
  '/system.slice/postgresql@15-main.service',
  '/user.slice/user-0.slice/session-3.scope',
  '/user.slice/user-1000.slice/session-7.scope',
  ...['a', 'b', 'c', 'd'].map(container),
];
const FOLDERS_OF_WORK = ['/', '/root', '/srv/app', '/srv/app/current', '/var/lib/postgresql', '/home/build/project'];

/** Words after the program's name: none, some of a few, or some that hardly ever come again. */
function argumentsOf(random: () => number, serial: number): string[] {
  const kind = random();
  if (kind < 0.35) return [];
  const few = Math.floor(random() * 5);
  if (kind < 0.75) return ['-v', `--config=/etc/app/config-${few}.yaml`, '--quiet'].slice(0, 1 + (few % 3));
  return ['--input', `/var/lib/app/jobs/${serial}/data.json`, '-o', `/tmp/build-${Math.floor(random() * 1e6)}/out.o`];
}

/**
 * `count` rows as the kernel fills them. A host runs few programs at a time and others later: of 64 rows in a row about
 * 14 are of different programs, as a machine that builds and tests showed.
 */
export function kernelRows(programs: readonly Program[], count: number, seed = 1): ExecRow[] {
  const random = seededRandom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(items.length * random())]!;
  const current = Array.from({ length: AT_A_TIME }, () => pick(programs));
  const parents: ExecRow[] = [];
  const rows: ExecRow[] = [];
  // A day after the last change of any program: none of them counts as just written.
  const bootAtNs = programs.reduce((latest, { ctime_ns }) => (ctime_ns > latest ? ctime_ns : latest), 0n);
  let bootNs = DAY_NS;
  for (let serial = 0; serial < count; serial++) {
    bootNs += BigInt(Math.floor(random() * 2_000_000));
    if (random() < CHANGE_SHARE) current[Math.floor(random() * AT_A_TIME)] = pick(programs);
    const program = pick(current);
    const parent = parents.length > 0 ? pick(parents) : undefined;
    const row = execRow({ program, parent, serial, bootAtNs, bootNs, cgroupPath: pick(CGROUPS), random });
    rows.push(row);
    if (random() < CHANGE_SHARE) parents[Math.floor(random() * AT_A_TIME) % (parents.length + 1)] = row;
  }
  return rows;
}

type Facts = {
  readonly program: Program;
  readonly parent: ExecRow | undefined;
  readonly serial: number;
  readonly bootAtNs: bigint;
  readonly bootNs: bigint;
  readonly cgroupPath: string;
  readonly random: () => number;
};

function execRow({ program, parent, serial, bootAtNs, bootNs, cgroupPath, random }: Facts): ExecRow {
  const name = basename(program.path);
  const words = [name, ...argumentsOf(random, serial)];
  const argv = Buffer.from(`${words.join('\0')}\0`, 'utf8').toString('latin1');
  const uid = cgroupPath.includes('user-1000') ? 1000 : 0;
  const ns = 4_026_531_836;
  return {
    ...{ ts: bootAtNs + bootNs, cpu: serial % 8, cpu_seq: BigInt(serial >> 3) },
    ...{ pid: 1000 + (serial % 4_000_000), self_exec_id: 2, start_ns: bootNs - 400_000n },
    parent_start_ns: parent?.start_ns ?? 1_000_000n,
    parent_pid: parent?.pid ?? 1,
    parent_self_exec_id: parent?.self_exec_id ?? 1,
    ppid: parent?.pid ?? 1,
    ...{ uid, gid: uid, euid: uid, egid: uid, loginuid: uid === 0 ? UNSET_UID : uid },
    ...{ pid_ns: ns, mnt_ns: ns + 5, cgroup_id: BigInt(4000 + CGROUPS.indexOf(cgroupPath)), cgroup_hierarchy: 0 },
    ...{ argc: words.length, argv_bytes: argv.length, argv },
    ...{ ...program, writecount: -1, fs_magic: EXT4_MAGIC, flags: 0 },
    ...{ filename: program.path, cwd: FOLDERS_OF_WORK[Math.floor(random() * 6)]!, comm: name.slice(0, 15) },
    ...{ cgroup_path: cgroupPath, parent_path: '', writer_path: '', workload: '', container_id: '', image: '' },
    ...{ sha256: '', digest_source: '', digest_strength: '', digest_reason: '' },
    ...{ writer_start_ns: 0n, written_ns: 0n, writer_pid: 0, writer_self_exec_id: 0 },
    ...{ package: '', package_version: '', package_match: '', package_algorithm: '' },
  };
}
