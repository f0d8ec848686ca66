/** Databases of rpm: made by the real rpm where it is installed, and headers written by the published format. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Why no database can be made by rpm itself; undefined when one can. */
export function whyNoRpm(): string | undefined {
  return existsSync('/usr/bin/rpmbuild') && existsSync('/usr/bin/rpm') ? undefined : 'needs rpm and rpmbuild';
}

const SPEC = `Name: demo
Epoch: 2
Version: 1.5
Release: 3
Summary: demo
License: Apache-2.0
%global _build_id_links none
%global debug_package %{nil}
%global __os_install_post %{nil}
%{?md5:%global _binary_filedigest_algorithm 1}
%description
demo
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc
cp %{program} %{buildroot}/usr/bin/demo
echo setting > %{buildroot}/etc/demo.conf
ln -s demo %{buildroot}/usr/bin/demolink
%files
/usr/bin/demo
/usr/bin/demolink
%config /etc/demo.conf
%ghost /var/log/demo.log
`;

/** Builds a package of this program and installs it below `root`, database and all. Needs rpm. */
export function installByRpm(folder: string, root: string, program: string, options: { md5?: boolean } = {}): void {
  const build = mkdtempSync(join(folder, 'rpmbuild-'));
  writeFileSync(join(build, 'demo.spec'), SPEC);
  const define = (name: string, value: string) => ['--define', `${name} ${value}`];
  const quiet = { stdio: 'ignore' } as const;
  const settings = [
    ...define('_topdir', build),
    ...define('program', program),
    ...(options.md5 ? define('md5', '1') : []),
  ];
  execFileSync('rpmbuild', [...settings, '-bb', join(build, 'demo.spec')], quiet);
  const built = readdirSync(join(build, 'RPMS'), { recursive: true, encoding: 'utf8' }).find((name) =>
    name.endsWith('.rpm'),
  );
  mkdirSync(root, { recursive: true });
  const place = [...define('_dbpath', '/var/lib/rpm'), ...define('_db_backend', 'sqlite')];
  // Debian's rpm asks for its flag before it installs anything.
  const force = ['--nodeps', '--noscripts', '--force-debian'];
  execFileSync('rpm', ['--root', root, ...place, ...force, '-i', join(build, 'RPMS', built!)], quiet);
}

export type HeaderFile = {
  readonly path: string;
  readonly digest: string;
  readonly mode?: number;
  readonly flags?: number;
  readonly state?: number;
};

/** A header as rpm writes it into its database. `algorithm` is PGPHASHALGO; left out as in old packages. */
export function rpmHeader(
  name: string,
  files: readonly HeaderFile[],
  { algorithm, arch = 'x86_64' }: { algorithm?: number; arch?: string } = {},
): Buffer {
  const folders = [...new Set(files.map(({ path }) => path.slice(0, path.lastIndexOf('/') + 1)))];
  const strings = (values: readonly string[]) => Buffer.from(values.map((value) => `${value}\0`).join(''), 'latin1');
  const numbers = (bytes: number, values: readonly number[]) => {
    const buffer = Buffer.alloc(bytes * values.length);
    for (const [index, value] of values.entries()) buffer.writeUIntBE(value, index * bytes, bytes);
    return buffer;
  };
  const folderOf = ({ path }: HeaderFile) => folders.indexOf(path.slice(0, path.lastIndexOf('/') + 1));
  const tags: [tag: number, type: number, count: number, data: Buffer][] = [
    [1000, 6, 1, strings([name])],
    [1001, 6, 1, strings(['1.0'])],
    [1002, 6, 1, strings(['1'])],
    [1022, 6, 1, strings([arch])],
  ];
  if (files.length > 0) {
    tags.push(
      [
        1030,
        3,
        files.length,
        numbers(
          2,
          files.map(({ mode }) => mode ?? 0o100755),
        ),
      ],
      [1035, 8, files.length, strings(files.map(({ digest }) => digest))],
      [
        1037,
        4,
        files.length,
        numbers(
          4,
          files.map(({ flags }) => flags ?? 0),
        ),
      ],
      [1116, 4, files.length, numbers(4, files.map(folderOf))],
      [1117, 8, files.length, strings(files.map(({ path }) => path.slice(path.lastIndexOf('/') + 1)))],
      [1118, 8, folders.length, strings(folders)],
    );
    if (algorithm !== undefined) tags.push([5011, 4, 1, numbers(4, [algorithm])]);
    tags.push([
      1029,
      1,
      files.length,
      numbers(
        1,
        files.map(({ state }) => state ?? 0),
      ),
    ]);
  }
  return encodeHeader(tags);
}

function encodeHeader(tags: readonly [number, number, number, Buffer][]): Buffer {
  const index = Buffer.alloc(tags.length * 16);
  const data: Buffer[] = [];
  let length = 0;
  for (const [at, [tag, type, count, bytes]] of tags.entries()) {
    const padding = Buffer.alloc((4 - (length % 4)) % 4);
    data.push(padding, bytes);
    length += padding.length;
    for (const [column, value] of [tag, type, length, count].entries())
      index.writeUInt32BE(value, at * 16 + column * 4);
    length += bytes.length;
  }
  const intro = Buffer.alloc(8);
  intro.writeUInt32BE(tags.length, 0);
  intro.writeUInt32BE(length, 4);
  return Buffer.concat([intro, index, ...data]);
}

/** Writes these headers where rpm keeps them below `root`; with the tables rpm makes, as far as anybody reads them. */
export function writeRpmDatabase(root: string, headers: readonly Buffer[], folder = 'var/lib/rpm'): string {
  mkdirSync(join(root, folder), { recursive: true });
  const path = join(root, folder, 'rpmdb.sqlite');
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA synchronous = OFF; CREATE TABLE IF NOT EXISTS 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS 'Name' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)`);
  for (const header of headers) db.prepare('INSERT INTO Packages (blob) VALUES (?)').run(header);
  db.close();
  return path;
}
