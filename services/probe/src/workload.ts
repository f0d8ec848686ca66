/**
 * Which workload a process belongs to, told from its cgroup path alone.
 *
 * Texts are latin1 strings, one character per kernel byte. The rule behind every decision here: a name counts only where
 * the host's own managers chose it. Whoever holds a delegated cgroup names what is below it as he likes, so the outermost
 * container and the outermost unit decide, and nothing deeper does.
 */

import { createHash } from 'node:crypto';

/** All texts are made of `[A-Za-z0-9:_.@\+~%-]` (and `/` between the parts of `workload`), each part ≤ 255 characters. */
export type Workload = {
  /** `container/<runtime>/<name or short id>`, `systemd/<unit>`, `session/<user>` or `host`. */
  readonly workload: string;
  /** The runtime's full id (64 hex digits) or the machine's name; empty outside containers. */
  readonly containerId: string;
  /** `docker`, `containerd`, `cri-o`, `podman`, `lxc`, `nspawn`, `libvirt-lxc`, `oci` (runtime not told); else empty. */
  readonly runtime: string;
  /** Whether a user's own manager vouches for the container, and not the host's. */
  readonly isUsers: boolean;
  /** The outermost systemd unit around the process, as systemctl spells it, instance included; empty without one. */
  readonly unit: string;
};

/** The user's name for a uid, undefined when the user database has none. */
export type UserNames = (uid: number) => string | undefined;

/** Group 1 of `segment` is the container's id or name. `below` is matched against the path above, without last slash. */
type ContainerRule = { readonly runtime: string; readonly segment: RegExp; readonly below?: RegExp };

const CONTAINER_RULES: readonly ContainerRule[] = [
  { runtime: 'docker', segment: /^docker-([0-9a-f]{64})\.scope$/ },
  { runtime: 'containerd', segment: /^cri-containerd-([0-9a-f]{64})\.scope$/ },
  { runtime: 'containerd', segment: /^nerdctl-([0-9a-f]{64})\.scope$/ },
  // A systemd triple `slice:prefix:id` that a cgroupfs driver took for a directory name.
  { runtime: 'containerd', segment: /^[^:]{1,255}:cri-containerd:([0-9a-f]{64})$/ },
  { runtime: 'cri-o', segment: /^crio-([0-9a-f]{64})(?:\.scope)?$/ },
  { runtime: 'podman', segment: /^libpod-(?:payload-)?([0-9a-f]{64})(?:\.scope)?$/ },
  { runtime: 'lxc', segment: /^lxc\.payload\.(.+)$/s },
  { runtime: 'lxc', segment: /^(.+)$/s, below: /^\/lxc(?:\.payload)?$/ },
  { runtime: 'libvirt-lxc', segment: /^machine-lxc\\x2d\d+\\x2d(.+)\.scope$/s, below: /^\/machine\.slice$/ },
  { runtime: 'nspawn', segment: /^systemd-nspawn@(.+)\.service$/s, below: /^\/machine\.slice$/ },
  { runtime: 'nspawn', segment: /^machine-(?!qemu\\x2d|lxc\\x2d)(.+)\.scope$/s, below: /^\/machine\.slice$/ },
  // Drivers that name the directory by the bare id: only the parents tell whose it is.
  { runtime: 'docker', segment: /^([0-9a-f]{64})$/, below: /^\/(?:docker|actions_job|ecs)(?:\/|$)/ },
  { runtime: 'containerd', segment: /^([0-9a-f]{64})$/, below: /^\/(?:kubepods(?:\/|$)|(?:default|k8s\.io)$)/ },
  { runtime: 'oci', segment: /^([0-9a-f]{64})$/ },
];

/** BuildKit inside dockerd: a fresh id for every build step, so all steps share one workload. */
const BUILD_RULES: readonly ContainerRule[] = [
  { runtime: 'docker', segment: /^docker-([0-9a-z]{25})\.scope$/ },
  { runtime: 'docker', segment: /^([0-9a-z]{25})$/, below: /^\/docker\/buildkit$/ },
];

/** Unit types that can hold processes (systemd.unit(5)); slices only group. */
const UNIT = /^[^/]{1,255}\.(?:service|scope|socket|mount|swap)$/s;

/** Tokens made up anew at each start. They become `~`, else every run would be a workload without a past. */
const VOLATILE: readonly (readonly [RegExp, string])[] = [
  [/^run-(?:r?[0-9a-f]{32}|u\d+|p\d+-i\d+|\d+)(?=\.)/, 'run-~'],
  [/^machine-qemu\\x2d\d+\\x2d/, 'machine-qemu\\x2d~\\x2d'],
  [/(?<![0-9a-f])[0-9a-f]{8}(?:(?:-|\\x2d)[0-9a-f]{4}){3}(?:-|\\x2d)[0-9a-f]{12}(?![0-9a-f])/g, '~'],
  [/(?<![0-9a-f])[0-9a-f]{64}(?:-[0-9a-f]{1,16})?(?![0-9a-f])/g, '~'],
  [/(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])/g, '~'],
];

/** Longest part of an id: the kernel's own limit on a cgroup's name (NAME_MAX). */
const MAX_PART_CHARS = 255;

/**
 * `cgroupPath` is the full path within its hierarchy (v2, or v1 pids/memory), as the kernel delivers it. Total: any
 * string gives a workload, what matches nothing is `host`.
 *
 * Outermost container: with docker in docker the operator deployed the outer one; what the inner daemon starts is named
 * from inside, and by the innermost name a container could pose as any other. The same holds for a user's own manager:
 * rootless containers are recognised below it, and `unit` (`user@<uid>.service`) tells that the user vouches for them.
 *
 * One workload per unit *template*: instances run the same program, and per-connection instances (`sshd@…`) would be
 * new workloads for ever. The instance stays in `unit`.
 */
export function workloadOf(cgroupPath: string, userName: UserNames): Workload {
  const segments = cgroupPath.split('/').filter((segment) => segment !== '' && segment !== '.' && segment !== '..');
  const rawUnit = unitOf(segments);
  const unit = rawUnit === '' ? '' : safePart(rawUnit);
  const container = containerOf(segments);
  if (container !== undefined) {
    const isUsers = segments[0] === 'user.slice';
    return { workload: `container/${container.runtime}/${container.name}`, ...container.ids, isUsers, unit };
  }
  const uid = sessionUid(segments, rawUnit);
  if (uid !== undefined) {
    return { workload: `session/${safePart(userName(uid) || String(uid))}`, ...NO_CONTAINER, unit };
  }
  const workload = unit === '' ? 'host' : `systemd/${stableUnit(rawUnit)}`;
  return { workload, ...NO_CONTAINER, unit };
}

const NO_CONTAINER = { containerId: '', runtime: '', isUsers: false } as const;

function containerOf(segments: readonly string[]) {
  let above = '';
  for (const [index, segment] of segments.entries()) {
    const found = matchRules(BUILD_RULES, segment, above) ?? matchRules(CONTAINER_RULES, segment, above);
    // nspawn keeps its own helper beside the payload: that one runs the host's program.
    if (found && !(found.rule.runtime === 'nspawn' && segments[index + 1] === 'supervisor')) {
      const { runtime } = found.rule;
      const containerId = safePart(found.id);
      const name = BUILD_RULES.includes(found.rule) ? 'buildkit' : shortId(containerId);
      return { runtime, name, ids: { containerId, runtime } };
    }
    above += `/${segment}`;
  }
  return undefined;
}

function matchRules(rules: readonly ContainerRule[], segment: string, above: string) {
  for (const rule of rules) {
    if (rule.below !== undefined && !rule.below.test(above)) continue;
    const id = rule.segment.exec(segment)?.[1];
    if (id === undefined) continue;
    const named = rule.runtime === 'nspawn' || rule.runtime === 'libvirt-lxc';
    return { rule, id: named ? unescapeUnit(id) : id };
  }
  return undefined;
}

function shortId(id: string): string {
  return /^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id;
}

/** The first directory that is no slice, if it is a unit. systemd prefixes names a controller could own with `_`. */
function unitOf(segments: readonly string[]): string {
  for (const segment of segments) {
    const name = segment.startsWith('_') ? segment.slice(1) : segment;
    if (!name.endsWith('.slice')) return UNIT.test(name) ? name : '';
  }
  return '';
}

/** A user's login sessions and everything below his manager are one workload; a system unit in his slice is not his. */
function sessionUid(segments: readonly string[], unit: string): number | undefined {
  if (segments[0] !== 'user.slice') return undefined;
  const digits = /^user-(\d{1,10})\.slice$/.exec(segments[1] ?? '')?.[1];
  if (digits === undefined || Number(digits) > 0xffff_ffff) return undefined;
  const own = unit === '' || unit.endsWith('.scope') || unit === `user@${digits}.service`;
  return own ? Number(digits) : undefined;
}

function stableUnit(unit: string): string {
  const dot = unit.lastIndexOf('.');
  const at = unit.indexOf('@');
  let name = safePart(at > 0 && at < dot ? `${unit.slice(0, at + 1)}${unit.slice(dot)}` : unit);
  for (const [token, replacement] of VOLATILE) name = name.replace(token, replacement);
  return name;
}

/** Undoes systemd's `\xNN` (systemd-escape(1)); `-` stands for `/` there, but machine names hold neither. */
function unescapeUnit(text: string): string {
  return text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/**
 * One part of an id: safe characters stay (a backslash too, so that a unit reads as systemctl wants it), others become
 * `%NN`. Too long a text keeps its beginning and a hash of the whole.
 */
export function safePart(text: string): string {
  const dotsOnly = /^\.{1,2}$/.test(text);
  const safe = text.replace(dotsOnly ? /\./g : /[^A-Za-z0-9:_.@\\+-]/g, percent);
  if (safe.length <= MAX_PART_CHARS) return safe;
  const hash = createHash('sha256').update(text, 'latin1').digest('hex').slice(0, 16);
  return `${safe.slice(0, MAX_PART_CHARS - hash.length - 2)}~~${hash}`;
}

/** A user database is free to hand out characters above 0xff: those take their UTF-8 bytes. */
function percent(character: string): string {
  const bytes = Buffer.from(character, character > '\xff' ? 'utf8' : 'latin1');
  return [...bytes].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
