/** A real probe on the running kernel, its messages decoded and kept. In a process of its own lies what it watches. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ContainerSource } from '@bintrail/probe/containers/facts.ts';
import { HOOK_SETTINGS, type HookSetting } from '@bintrail/probe/hooks.ts';
import { missingCapabilities, readBootId } from '@bintrail/probe/host.ts';
import type { Pods } from '@bintrail/probe/kubernetes/pods.ts';
import { type Probe, startProbe } from '@bintrail/probe/probe.ts';
import { redactArguments } from '@bintrail/probe/redact.ts';
import { oneOf, readConfig, setting } from '@bintrail/runtime/config.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { EVENTS, type EventName } from '@bintrail/schemas/events.ts';
import { type Flag, flagNames } from '@bintrail/schemas/flags.ts';
import { bigAt, digestAt, numberAt, textAt } from '@bintrail/schemas/row.ts';
import { NO_CENSUS } from '../e2e/bintrail.ts';

export const run = promisify(execFile);

export const CENSUS_OBJECT = fileURLToPath(new URL('../../../bpf/build/census.bpf.o', import.meta.url));
export const LSM_OBJECT = fileURLToPath(new URL('../../../bpf/build/lsm.bpf.o', import.meta.url));
export const BPF_OBJECT = fileURLToPath(new URL('../../../bpf/build/bintrail.bpf.o', import.meta.url));

const HOOKS = { hooks: setting('BINTRAIL_HOOKS', oneOf(...HOOK_SETTINGS), 'auto') };

/** A row as a test reads it: texts latin1, digests hex, numbers as they are, and its flags by name. */
// biome-ignore lint/suspicious/noExplicitAny: what a test asserts on is what types it
export type SeenRow = { readonly event: EventName; readonly flagNames: readonly Flag[] } & Record<string, any>;

/** Why the kernel ring cannot run here; undefined when it can. */
export function whyNotHere(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux';
  const missing = missingCapabilities(readFileSync('/proc/self/status', 'utf8'));
  if (missing.length > 0) return `needs ${missing.join(', ')}`;
  if (!existsSync('/sys/kernel/btf/vmlinux')) return 'needs a kernel with BTF';
  return existsSync(BPF_OBJECT) ? undefined : 'needs the built BPF object: run npm test once with clang installed';
}

/** Whether the running kernel is older than this. */
export function isBefore(major: number, minor: number): boolean {
  const [ownMajor = 0, ownMinor = 0] = release().split('.').map(Number);
  return ownMajor < major || (ownMajor === major && ownMinor < minor);
}

export type Watched = {
  /** The family of hooks in use, why not lsm, and what tells of changes. */
  readonly probe: Pick<Probe, 'hooks' | 'lsmRefusal' | 'changes'>;
  readonly rows: () => readonly SeenRow[];
  /** The first row of this event for which `matches` holds, with its digest; waits for both. */
  readonly row: (event: EventName, matches: (row: SeenRow) => boolean) => Promise<SeenRow>;
  /** All rows of this event for which `matches` holds, once there are so many. */
  readonly rowsOf: (event: EventName, matches: (row: SeenRow) => boolean, atLeast: number) => Promise<SeenRow[]>;
  readonly stop: () => Promise<void>;
};

export type WatchOptions = {
  readonly maxFileBytes?: number;
  readonly censusFolder?: string;
  /** As BINTRAIL_HOOKS says by default: the virtual machine's ring goes through the same cases with either. */
  readonly hooks?: HookSetting;
  readonly containerSources?: readonly ContainerSource[];
  readonly pods?: Pods;
};

export async function watchKernel(options: WatchOptions = {}): Promise<Watched> {
  const rows: SeenRow[] = [];
  const probe: Probe = await startProbe({
    ...{ lsmObjectPath: LSM_OBJECT, hooks: options.hooks ?? readConfig(process.env, HOOKS).hooks },
    ...{ bpfObjectPath: BPF_OBJECT, node: 'test', boot: readBootId() },
    censusObjectPath: CENSUS_OBJECT,
    censusFolder: options.censusFolder ?? NO_CENSUS,
    maxFileBytes: options.maxFileBytes ?? 1024 ** 3,
    containerSources: options.containerSources ?? [],
    pods: options.pods,
    userName: () => undefined,
    redact: redactArguments,
    log: createLog({ level: 'warn', name: 'probe-test' }),
    publish: async (messages) => {
      for (const { value } of messages) {
        const decoded = decodeBatch(value);
        if (!decoded.ok) throw new Error(`the probe sent ${decoded.reason}: ${decoded.detail}`);
        for (let index = 0; index < decoded.batch.rows; index++) rows.push(seenRow(decoded.batch, index));
      }
    },
  });
  /** With its digest: the late one when it had to leave without. Undefined while that is still to come. */
  const settled = (found: SeenRow): SeenRow | undefined => {
    if (found.digest_reason !== 'pending') return found;
    const isOf = (late: SeenRow) =>
      late.event === 'digest' &&
      late.pid === found.pid &&
      late.start_ns === found.start_ns &&
      late.self_exec_id === found.self_exec_id &&
      late.path === found.path;
    const late = rows.find(isOf);
    return late && { ...found, ...pickDigest(late) };
  };
  const row = async (event: EventName, matches: (row: SeenRow) => boolean) => {
    for (let triesLeft = 200; triesLeft > 0; triesLeft--) {
      const found = rows.find((candidate) => candidate.event === event && matches(candidate));
      const complete = found && settled(found);
      if (complete !== undefined) return complete;
      await delay(50);
    }
    throw new Error(`no such ${event} among ${rows.length} rows`);
  };
  const rowsOf = async (event: EventName, matches: (row: SeenRow) => boolean, atLeast: number) => {
    for (let triesLeft = 200; triesLeft > 0; triesLeft--) {
      const found = rows.filter((candidate) => candidate.event === event && matches(candidate));
      if (found.length >= atLeast) return found;
      await delay(50);
    }
    throw new Error(`fewer than ${atLeast} such ${event} among ${rows.length} rows`);
  };
  const stop = async () => {
    await probe.close();
    await probe.done;
  };
  return { probe, rows: () => rows, row, rowsOf, stop };
}

function pickDigest({ sha256, digest_source, digest_strength, digest_reason, ...row }: SeenRow) {
  const { package: name, package_version, package_match, package_algorithm } = row;
  const evidence = { package: name, package_version, package_match, package_algorithm };
  return { sha256, digest_source, digest_strength, digest_reason, ...evidence };
}

export function seenRow(batch: Batch, index: number): SeenRow {
  const row: Record<string, unknown> = { event: batch.type };
  for (const { name, kind } of EVENTS[batch.type].fields) {
    if (kind === 'digest') row[name] = digestAt(batch, name, index);
    else if (kind === 'text' || kind === 'bytes') row[name] = textAt(batch, name, index);
    else row[name] = kind === 'u64' || kind === 'time' ? bigAt(batch, name, index) : numberAt(batch, name, index);
  }
  row.flagNames = flagNames((row.flags as number | undefined) ?? 0);
  return row as SeenRow;
}
