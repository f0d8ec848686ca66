import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { findClang, findCompiler } from './commands.mjs';
import { runStep } from './progress.mjs';

/** The kernel's name of each processor, and where Debian keeps its `asm/` headers: clang, aiming at bpf, does not look there. */
const PROCESSORS = {
  x64: { target: 'x86', headers: '/usr/include/x86_64-linux-gnu' },
  arm64: { target: 'arm64', headers: '/usr/include/aarch64-linux-gnu' },
};
const BPF_FLAGS = ['-O2', '-g', '-Wall', '-target', 'bpf', '-Ibpf', '-Ibpf/gen'];
const HOST_FLAGS = ['-O2', '-Wall', '-Wextra'];
const HOST_SOURCE = 'infra/clickhouse-host/host.c';

/**
 * The native parts whose output is not what their sources and flags would give now, by content, not by time.
 * @returns {{root, title, tool: 'clang'|'cc', args: string[], output: string, fingerprint: string}[]} paths relative
 *   to `root`
 */
export function staleBuilds(root, env) {
  return [...bpfBuilds(root), ...hostBuilds(root, env)].filter((build) => !isCurrent(build));
}

/** Compiles one part. The old output stays until the new one is complete. Throws StepFailed with the compiler's words. */
export async function runBuild({ root, title, tool, args, output, fingerprint }, env) {
  const compiler = tool === 'clang' ? findClang(env) : findCompiler(env);
  const partial = `${output}.partial`;
  mkdirSync(path.join(root, path.dirname(output)), { recursive: true });
  await runStep(title, [compiler, '-o', partial, ...args], { cwd: root, env });
  renameSync(path.join(root, partial), path.join(root, output));
  writeFileSync(path.join(root, `${output}.built-from`), fingerprint);
}

function bpfBuilds(root) {
  const sources = [...sourcesIn(root, 'bpf'), ...sourcesIn(root, 'bpf/gen')];
  const { target, headers } = PROCESSORS[process.arch] ?? {};
  return sources
    .filter((source) => source.endsWith('.bpf.c'))
    .map((source) => {
      const args = [...BPF_FLAGS, `-D__TARGET_ARCH_${target}`, '-idirafter', headers, '-c', source];
      const output = `bpf/build/${path.basename(source, '.c')}.o`;
      return describeBuild(root, `BPF object ${output}`, 'clang', args, output, sources);
    });
}

function hostBuilds(root, env) {
  if (env.CLICKHOUSE_URL || !existsSync(path.join(root, HOST_SOURCE))) return [];
  const output = 'infra/clickhouse-host/build/clickhouse-host';
  return [describeBuild(root, 'ClickHouse host', 'cc', [...HOST_FLAGS, HOST_SOURCE, '-ldl'], output, [HOST_SOURCE])];
}

function describeBuild(root, title, tool, args, output, sources) {
  const hash = createHash('sha256').update(JSON.stringify(args));
  for (const source of sources) hash.update(`\n${source}\n`).update(readFileSync(path.join(root, source)));
  return { root, title, tool, args, output, fingerprint: hash.digest('hex') };
}

function isCurrent({ root, output, fingerprint }) {
  const stamp = path.join(root, `${output}.built-from`);
  return existsSync(path.join(root, output)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint;
}

function sourcesIn(root, folder) {
  const absolute = path.join(root, folder);
  if (!existsSync(absolute)) return [];
  const names = readdirSync(absolute).filter((name) => /\.[ch]$/.test(name));
  return names.sort().map((name) => `${folder}/${name}`);
}
