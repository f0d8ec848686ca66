/**
 * How root starts the probe's process: as a user of its own with five capabilities and nothing else, and small, as it is
 * there for as long as the machine runs.
 */
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SetupError } from '@bintrail/runtime/errors.ts';
import type { User } from '@bintrail/runtime/privileges.ts';
import type { SocketSetting } from './containers/sockets.ts';
import { missingCapabilities, PROBE_CAPABILITIES } from './host.ts';

export const PROBE_MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

/**
 * Node keeps compiled sources here, types already taken out. From the second start on no thread loads the compiler of
 * TypeScript, 18 MB each (measured). Beside the sources, because whoever may write here decides what the probe does.
 */
const COMPILE_CACHE = fileURLToPath(new URL('../build/compile-cache', import.meta.url));

/**
 * Three semi-spaces are the young generation of the heap, which a storm would let grow to 57 MB (measured). The old one
 * grows by so much before it is looked through: by its own measure V8 took 895 MB for a storm, with this 644, and 1.8 % of
 * a processor more. A thread collects once it has started (spare-memory.ts).
 */
export const PROBE_NODE_OPTIONS = ['--max-semi-space-size=4', '--heap-growing-percent=30', '--expose-gc'];

export function probeEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, NODE_COMPILE_CACHE: COMPILE_CACHE };
}

/** Of util-linux, which every distribution has. */
const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path));

/**
 * The command that runs the one given to it in its own place: as this user, with the probe's capabilities in every set
 * (ambient too, which is what survives an exec), in the bounding set no others, and in the groups of these sockets. Empty, as it is then the probe that
 * says what is missing, when this process lacks some itself. Throws SetupError without setpriv.
 */
export function probeCommand({ uid, gid }: User, sockets: readonly SocketSetting[] = []): string[] {
  if (missingCapabilities(readFileSync('/proc/self/status', 'utf8')).length > 0) return [];
  if (SETPRIV === undefined) throw new SetupError('setpriv is missing', 'install util-linux');
  const capabilities = PROBE_CAPABILITIES.map((name) => `+${name.slice('CAP_'.length).toLowerCase()}`);
  const set = ['-all', ...capabilities].join(',');
  const sets = ['--inh-caps', '--ambient-caps', '--bounding-set'].map((option) => `${option}=${set}`);
  const groups = socketGroups(sockets);
  const others = groups.length === 0 ? '--clear-groups' : `--groups=${groups.join(',')}`;
  return [SETPRIV, `--reuid=${uid}`, `--regid=${gid}`, others, ...sets, '--no-new-privs'];
}

/** Groups that may ask the container runtimes for names: of none of the five capabilities does connecting take notice. */
export function socketGroups(sockets: readonly SocketSetting[]): number[] {
  const found = sockets.map(({ path }) => statSync(path, { throwIfNoEntry: false }));
  return [...new Set(found.flatMap((stats) => (stats?.isSocket() ? stats.gid : [])))];
}

const BPF_FS_MAGIC = 0xcafe_4a11;

/** Gives a probe that runs as this user what it writes to: its compiled sources, and the census in bpffs. */
export function ownFolders({ uid, gid }: User, censusFolder: string): void {
  mkdirSync(COMPILE_CACHE, { recursive: true, mode: 0o700 });
  chownSync(COMPILE_CACHE, uid, gid);
  const parent = dirname(censusFolder);
  if (!existsSync(parent) || statfsSync(parent).type !== BPF_FS_MAGIC) return;
  mkdirSync(censusFolder, { recursive: true, mode: 0o700 });
  for (const name of ['', ...readdirSync(censusFolder, { recursive: true, encoding: 'utf8' })]) {
    chownSync(join(censusFolder, name), uid, gid);
  }
}
