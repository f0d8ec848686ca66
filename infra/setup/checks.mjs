import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { ADMIN_FOLDERS, findClang, findCommand, findCompiler } from './commands.mjs';
import { installCommand } from './packages.mjs';
import { missingForVm } from './vm.mjs';

const LIBRARY_FOLDERS = [
  ...['lib', 'usr/lib', 'usr/local/lib'].flatMap((folder) => [
    `${folder}/x86_64-linux-gnu`,
    `${folder}/aarch64-linux-gnu`,
    folder,
  ]),
  'lib64',
  'usr/lib64',
  'usr/local/lib64',
];
const HEADER_FOLDERS = ['', '/x86_64-linux-gnu', '/aarch64-linux-gnu'].flatMap((folder) => [
  `usr/include${folder}`,
  `usr/local/include${folder}`,
]);

const inFolders = (folders, file, base) => folders.some((folder) => existsSync(path.join(base, folder, file)));

/** @returns whether this user may put files where `file` is or would be: its nearest existing folder decides */
function canWrite(file) {
  if (!existsSync(file)) return canWrite(path.dirname(file));
  try {
    accessSync(file, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * What this command needs of the machine and does not find. Looks at files and commands, never at package names.
 * @param {{mode: string, env: object, builds: {tool: string}[], writes: string[], kafka?: {fetched: boolean},
 *   containers?: boolean, vm?: boolean, base?: string}} context `writes`: the folders set-up will write to; `kafka`: a
 *   broker will be run, from jars fetched or not yet; `containers`, `vm`: some containers, a virtual machine will be run;
 *   `base`: the root of the file system to look at
 * @returns {{name, purpose, packages?: object, remedy?: string, always?: boolean, blocks?: string[],
 *   only?: 'probes' | 'kafka' | 'containers' | 'vm' | 'one test'}[]} `packages`: its name by package manager; `always`:
 *   nothing works without it; `blocks`: the build tools that cannot run without it; `only`: who wants it, all but the
 *   first in tests only: a replay does without probes, and what one test wants skips no ring
 */
export function findMissing({ mode, env, builds, writes, kafka, containers, vm, base = '/' }) {
  const missing = [...missingPlatform(mode, env), ...missingAccess(writes)];
  if (findCommand(['npm'], env) === undefined) missing.push(NPM);
  if (mode === 'run' || process.platform !== 'linux') return missing;

  const builtWith = (tool) => builds.some((build) => build.tool === tool);
  if (mode !== 'replay' && !inFolders(LIBRARY_FOLDERS, 'libbpf.so.1', base)) missing.push(LIBBPF);
  if (builtWith('clang')) {
    if (!inFolders(HEADER_FOLDERS, 'bpf/bpf_helpers.h', base)) missing.push(BPF_HEADERS);
    if (!inFolders(HEADER_FOLDERS, 'asm/types.h', base)) missing.push(KERNEL_HEADERS);
    if (findClang(env) === undefined) missing.push(CLANG_NEED);
  }
  if (builtWith('cc')) {
    if (!inFolders(HEADER_FOLDERS, 'dlfcn.h', base)) missing.push(C_HEADERS);
    if (findCompiler(env) === undefined && !missing.includes(CLANG_NEED)) missing.push(C_COMPILER);
  }
  if (kafka && findCommand(['java'], env) === undefined) missing.push(JAVA);
  if (kafka && !kafka.fetched && findCommand(['mvn'], env) === undefined) missing.push(MAVEN);
  if (kafka && findCommand(['kcat'], env) === undefined) missing.push(KCAT);
  if (kafka && !hasPythonPackage('cbor2', base)) missing.push(CBOR2);
  if (vm) missing.push(...missingForVm(env));
  if (containers) {
    const isThere = ({ name }) => findCommand([name], env) !== undefined || inFolders(ADMIN_FOLDERS, name, base);
    missing.push(...CONTAINER_PARTS.filter((part) => !isThere(part)));
  }
  return missing;
}

function* missingPlatform(mode, env) {
  if (process.platform !== 'linux') {
    if (mode === 'start' || mode === 'probe') yield { ...LINUX, name: `Linux (this is ${process.platform})` };
    if (mode === 'replay' && !env.CLICKHOUSE_URL) yield SERVER;
  } else if (!['x64', 'arm64'].includes(process.arch)) {
    yield { ...PROCESSOR, name: `an x86_64 or arm64 processor (this is ${process.arch})` };
  }
}

function* missingAccess(writes) {
  const closed = writes.filter((folder) => !canWrite(folder));
  if (closed.length > 0)
    yield { ...ACCESS, purpose: `set-up keeps packages and compiled parts in ${closed.join(', ')}` };
}

const ACCESS = {
  name: 'write access',
  remedy: 'start as the owner of the checkout, or from a clone of your own',
  always: true,
};

const LINUX = {
  purpose: 'the probes are eBPF programs in the Linux kernel',
  remedy: 'run Bintrail on a Linux machine or in a virtual one',
  only: 'probes',
};

const SERVER = {
  name: 'CLICKHOUSE_URL',
  purpose: 'the embedded ClickHouse runs on Linux only',
  remedy: 'set it to a ClickHouse server, as http://user:password@host:8123/bintrail_replay',
};

const PROCESSOR = {
  purpose: 'Node and ClickHouse come from npm for these two',
  remedy: 'run Bintrail on such a machine',
  always: true,
};

const NPM = {
  name: 'npm',
  purpose: 'installs the packages Bintrail is built on',
  packages: { 'apt-get': 'npm', dnf: 'npm', apk: 'npm', pacman: 'npm', zypper: 'npm' },
  always: true,
};

const LIBBPF = {
  name: 'libbpf.so.1',
  purpose: 'loads the BPF programs into the kernel',
  packages: { 'apt-get': 'libbpf1', dnf: 'libbpf', apk: 'libbpf', pacman: 'libbpf', zypper: 'libbpf1' },
  only: 'probes',
};

const BPF_HEADERS = {
  name: 'bpf/bpf_helpers.h',
  purpose: "libbpf's headers, to compile the BPF programs",
  packages: {
    'apt-get': 'libbpf-dev',
    dnf: 'libbpf-devel',
    apk: 'libbpf-dev',
    pacman: 'libbpf',
    zypper: 'libbpf-devel',
  },
  blocks: ['clang'],
  only: 'probes',
};

const KERNEL_HEADERS = {
  name: 'asm/types.h',
  purpose: "the kernel's headers for programs, to compile the BPF programs",
  packages: {
    'apt-get': 'linux-libc-dev',
    dnf: 'kernel-headers',
    apk: 'linux-headers',
    pacman: 'linux-api-headers',
    zypper: 'linux-glibc-devel',
  },
  blocks: ['clang'],
  only: 'probes',
};

const CLANG_NEED = {
  name: 'clang',
  purpose: 'compiles the BPF programs of the probe',
  packages: { 'apt-get': 'clang', dnf: 'clang', apk: 'clang', pacman: 'clang', zypper: 'clang' },
  blocks: ['clang'],
  only: 'probes',
};

const C_HEADERS = {
  name: 'dlfcn.h',
  purpose: "the C library's headers, to compile the host of the embedded ClickHouse",
  packages: {
    'apt-get': 'libc6-dev',
    dnf: 'glibc-devel',
    apk: 'musl-dev',
    pacman: 'glibc',
    zypper: 'glibc-devel',
  },
  blocks: ['cc'],
};

const C_COMPILER = {
  name: 'cc',
  purpose: 'compiles the host of the embedded ClickHouse (not needed with CLICKHOUSE_URL)',
  packages: { 'apt-get': 'gcc', dnf: 'gcc', apk: 'gcc', pacman: 'gcc', zypper: 'gcc' },
  blocks: ['cc'],
};

const JAVA = {
  name: 'java',
  purpose: 'runs Apache Kafka for the tests (17 or newer; not needed with KAFKA_BROKERS)',
  packages: {
    'apt-get': 'default-jre-headless',
    dnf: 'java-21-openjdk-headless',
    apk: 'openjdk17-jre-headless',
    pacman: 'jre-openjdk-headless',
    zypper: 'java-17-openjdk-headless',
  },
  only: 'kafka',
};

const MAVEN = {
  name: 'mvn',
  purpose: 'fetches Apache Kafka for the tests (not needed with KAFKA_BROKERS)',
  packages: { 'apt-get': 'maven', dnf: 'maven', apk: 'maven', pacman: 'maven', zypper: 'maven' },
  only: 'kafka',
};

const everywhere = (name) => ({ 'apt-get': name, dnf: name, apk: name, pacman: name, zypper: name });

const CONTAINER_PARTS = [
  { name: 'podman', purpose: 'runs containers for the tests', packages: everywhere('podman'), only: 'containers' },
  { name: 'runc', purpose: 'starts the containers of the tests', packages: everywhere('runc'), only: 'containers' },
  {
    name: 'containerd',
    purpose: 'runs pods for the tests',
    packages: everywhere('containerd'),
    onlyContainers: true,
  },
  {
    name: 'busybox',
    purpose: 'is what the containers of the tests hold',
    packages: {
      'apt-get': 'busybox-static',
      dnf: 'busybox',
      apk: 'busybox-static',
      pacman: 'busybox',
      zypper: 'busybox-static',
    },
    only: 'containers',
  },
  {
    name: 'rpmbuild',
    purpose: 'makes a package and its database for the tests',
    packages: { 'apt-get': 'rpm', dnf: 'rpm-build', apk: 'rpm', pacman: 'rpm-tools', zypper: 'rpm-build' },
    only: 'containers',
  },
];

const KCAT = {
  name: 'kcat',
  purpose: 'reads the topics in a test as another client than ours (librdkafka)',
  packages: { 'apt-get': 'kcat', apk: 'kcat' },
  only: 'one test',
};

const CBOR2 = {
  name: 'cbor2',
  purpose: "decodes a message in a test as another program than ours (Python's own interpreter)",
  packages: { 'apt-get': 'python3-cbor2', dnf: 'python3-cbor2', apk: 'py3-cbor2', pacman: 'python-cbor2' },
  only: 'one test',
};

/** Of the system's own Python: one that a user brought along may be another. */
function hasPythonPackage(name, base) {
  const library = path.join(base, 'usr/lib');
  const pythons = existsSync(library) ? readdirSync(library).filter((folder) => folder.startsWith('python3')) : [];
  return inFolders(
    pythons.flatMap((folder) => ['dist-packages', 'site-packages'].map((kind) => `usr/lib/${folder}/${kind}`)),
    name,
    base,
  );
}

/** All that is missing in one text: what each thing is for, and the exact command that brings what a package brings. */
export function describeMissing(missing, env) {
  const width = Math.max(...missing.map((need) => need.name.length));
  const lines = ['Bintrail needs what this machine does not have:', ''];
  for (const need of missing) {
    lines.push(`  ${need.name.padEnd(width)}  ${need.purpose}`);
    if (need.remedy) lines.push(`  ${' '.repeat(width)}  → ${need.remedy}`);
  }
  const packaged = missing.filter((need) => need.packages);
  if (packaged.length > 0) {
    const command = installCommand(packaged, env);
    lines.push('', ...(command ? ['To install them:', `  ${command}`] : unknownManager(packaged)));
  }
  return `${lines.join('\n')}\n`;
}

function unknownManager(packaged) {
  const debian = [...new Set(packaged.map((need) => need.packages['apt-get']))].join(' ');
  return [
    'No package manager known to Bintrail (apt-get, dnf, apk, pacman, zypper) is on the PATH. Install them in the way of',
    `this system; Debian's packages are: ${debian}`,
  ];
}
