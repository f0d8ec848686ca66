/** dpkg's status file: which packages are on this root, in which state, and the digests of their conffiles. */

/** `obsolete`: the installed version ships it no more; the digest is that of the last version that did. */
export type Conffile = { readonly md5: string; readonly obsolete: boolean };

export type DpkgPackage = {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Multi-Arch: same. Its files under `info/` carry the architecture in their name. */
  readonly perArchitecture: boolean;
  /** Its files are on disk, as far as dpkg knows. */
  readonly present: boolean;
  /** False while its files are being replaced or removed. */
  readonly settled: boolean;
  readonly conffiles: ReadonlyMap<string, Conffile>;
};

/**
 * States whose files are all unpacked and listed (dpkg(1) "Package states"): a package that only waits for its
 * configuration runs as the configured one does. `config-files` is out: its program is gone, what is left of it
 * still running is worth a look. `half-installed` is dpkg at work: present, but not settled.
 */
const UNPACKED_STATES: ReadonlySet<string> = new Set([
  'installed',
  'triggers-pending',
  'triggers-awaited',
  'half-configured',
  'unpacked',
]);

/** All of Debian has some 500 conffiles on a large host. More than this is no package database. */
const MAX_CONFFILES = 65_536;

/** Debian Policy 5.6.1 and dpkg's own check; the first character keeps `.` and `..` out of file names. */
const PACKAGE_NAME = /^[A-Za-z0-9][A-Za-z0-9+._-]{0,127}$/;
const ARCHITECTURE = /^[a-z0-9][a-z0-9-]{0,63}$/;
const VERSION = /^[\x21-\x7e]{1,255}$/;
/** PATH_MAX and a digest. */
const MAX_LINE_CHARS = 4096 + 64;

type Fields = { name: string; status: string; version: string; architecture: string; multiArch: string };

/**
 * Adds the packages of `text` to `packages`, later stanzas replacing earlier ones: first `status`, then each file of
 * `updates/`, dpkg's journal. Returns the number of stanzas it could make nothing of.
 */
export function readStanzas(text: string, packages: Map<string, DpkgPackage>): number {
  let unusable = 0;
  let at = 0;
  let conffilesLeft = MAX_CONFFILES;
  while (at < text.length) {
    const stanza = readStanza(text, at, conffilesLeft);
    at = stanza.end;
    if (stanza.fields === undefined) continue;
    const entry = toPackage(stanza.fields, stanza.conffiles);
    if (entry === undefined) unusable++;
    else packages.set(entry.perArchitecture ? `${entry.name}:${entry.architecture}` : entry.name, entry);
    conffilesLeft -= stanza.conffiles.size;
  }
  return unusable;
}

function toPackage(fields: Fields, conffiles: ReadonlyMap<string, Conffile>): DpkgPackage | undefined {
  const { name, version, architecture } = fields;
  const [, flag, state] = fields.status.split(' ');
  if (!PACKAGE_NAME.test(name) || state === undefined) return undefined;
  const halfway = state === 'half-installed' || flag === 'reinstreq';
  const present = halfway || UNPACKED_STATES.has(state);
  // Packages that are not there need no version, and often have none.
  if (present && !(VERSION.test(version) && ARCHITECTURE.test(architecture))) return undefined;
  return {
    name: detach(name),
    version: present ? detach(version) : '',
    architecture: detach(architecture),
    perArchitecture: fields.multiArch === 'same',
    present,
    settled: present && !halfway,
    conffiles: present && conffiles.size > 0 ? conffiles : NO_CONFFILES,
  };
}

const NO_CONFFILES: ReadonlyMap<string, Conffile> = new Map();

/** One stanza from `start`: up to and with the empty line that ends it. `fields` is undefined when there is none. */
function readStanza(text: string, start: number, maxConffiles: number) {
  const fields: Fields = { name: '', status: '', version: '', architecture: '', multiArch: '' };
  const conffiles = new Map<string, Conffile>();
  let field = '';
  let at = start;
  let lines = 0;
  while (at < text.length) {
    const newline = text.indexOf('\n', at);
    const lineEnd = newline < 0 ? text.length : newline;
    const lineStart = at;
    at = lineEnd + 1;
    if (lineEnd === lineStart) break;
    lines++;
    if (lineEnd - lineStart > MAX_LINE_CHARS) continue;
    if (text[lineStart] === ' ' || text[lineStart] === '\t') {
      if (field === 'conffiles' && conffiles.size < maxConffiles)
        addConffile(text.slice(lineStart, lineEnd), conffiles);
      continue;
    }
    field = readField(text, lineStart, lineEnd, fields);
  }
  return { end: at, fields: lines === 0 ? undefined : fields, conffiles };
}

/** Field names are not case-sensitive (deb822(5)). Returns the lower-case name. */
function readField(text: string, start: number, end: number, fields: Fields): string {
  const colon = text.indexOf(':', start);
  if (colon < 0 || colon >= end) return '';
  const name = text.slice(start, colon).toLowerCase();
  const value = () => text.slice(colon + 1, end).trim();
  if (name === 'package') fields.name = value();
  else if (name === 'status') fields.status = value();
  else if (name === 'version') fields.version = value();
  else if (name === 'architecture') fields.architecture = value();
  else if (name === 'multi-arch') fields.multiArch = value();
  return name;
}

/** ` <path> <md5 | newconffile> [obsolete] [remove-on-upgrade]`; a path may hold spaces. */
function addConffile(line: string, conffiles: Map<string, Conffile>): void {
  const parts = /^[ \t](\/.*?) ([0-9a-f]{32})((?: obsolete| remove-on-upgrade)*)$/s.exec(line);
  const [, path, md5, flags] = parts ?? [];
  if (path === undefined || md5 === undefined) return;
  conffiles.set(detach(path), { md5: detach(md5), obsolete: flags?.includes(' obsolete') ?? false });
}

/** A copy: a slice would keep the whole status file alive. */
function detach(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
