/**
 * apk's database (https://wiki.alpinelinux.org/wiki/Apk_spec, "installed"): a text of stanzas, one a package. `P:` name,
 * `V:` version, `A:` architecture, `F:` a folder, `R:` a file in it, `Z:` the checksum of that file.
 */
import {
  isWord,
  MAX_FILES,
  MAX_PATH_BYTES,
  type PackageRecord,
  type PackageSource,
  type RecordedFile,
} from './package-record.ts';

/** `content` is the whole file, which is small: 100 bytes a file. Positions are offsets of stanzas. */
export function openApk(content: Buffer): PackageSource {
  return {
    manager: 'apk',
    *packages() {
      for (let at = 0; at < content.length; ) {
        const end = stanzaEnd(content, at);
        if (end > at) yield { at, found: readStanza(content.toString('latin1', at, end)) };
        at = end + 1;
      }
    },
    packageAt: (at) => readStanza(content.toString('latin1', at, stanzaEnd(content, at))),
  };
}

/** Where the empty line begins that ends the stanza. */
function stanzaEnd(content: Buffer, at: number): number {
  if (content[at] === NEWLINE) return at;
  const end = content.indexOf('\n\n', at, 'latin1');
  return end < 0 ? content.length : end + 1;
}

const NEWLINE = 0x0a;

/** undefined when it is no package. */
function readStanza(text: string): PackageRecord | undefined {
  const found = { 'P:': '', 'V:': '', 'A:': '' };
  const files: RecordedFile[] = [];
  let [folder, path] = ['', ''];
  const add = (checksum: string) => {
    if (path !== '' && path.length <= MAX_PATH_BYTES) files.push({ path, ...recordOf(path, checksum) });
    path = '';
  };
  for (let at = 0; at < text.length && files.length <= MAX_FILES; ) {
    const newline = text.indexOf('\n', at);
    const end = newline < 0 ? text.length : newline;
    const [field, value] = [text.slice(at, at + 2), text.slice(at + 2, end)];
    at = end + 1;
    if (field === 'F:') {
      add('');
      folder = value === '' ? '' : `/${value}`;
    } else if (field === 'R:') {
      add('');
      path = `${folder}/${value}`;
    } else if (field === 'Z:') add(value);
    else if (field === 'P:' || field === 'V:' || field === 'A:') found[field] = value;
  }
  add('');
  const { 'P:': name, 'V:': version, 'A:': architecture } = found;
  const isPackage = [name, version, architecture].every(isWord) && files.length <= MAX_FILES;
  return isPackage ? { name, version, architecture, files } : undefined;
}

/** `Q1` and the base64 of a SHA-1, `Q2` of a SHA-256 (apk-tools src/blob.c). What lies in /etc is the operator's. */
function recordOf(path: string, checksum: string): Omit<RecordedFile, 'path'> {
  const algorithm = CHECKSUMS[checksum.slice(0, 2)];
  const bytes = Buffer.from(checksum.slice(2), 'base64');
  if (algorithm === undefined || bytes.length !== DIGEST_BYTES[algorithm]) {
    return { record: 'none', algorithm: '', digest: '' };
  }
  return { record: path.startsWith('/etc/') ? 'conffile' : 'packaged', algorithm, digest: bytes.toString('hex') };
}

const CHECKSUMS: Readonly<Record<string, 'sha1' | 'sha256'>> = { Q1: 'sha1', Q2: 'sha256' };
const DIGEST_BYTES = { sha1: 20, sha256: 32 };
