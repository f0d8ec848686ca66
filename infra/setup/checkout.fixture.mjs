import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCommand } from './commands.mjs';

const SETUP = path.dirname(fileURLToPath(import.meta.url));
export const REAL_ROOT = path.resolve(SETUP, '../..');

/**
 * A folder with the set-up's own files, in a path with a space, that goes when the test is over.
 * @param {Record<string, string>} files more files, by path
 * @returns {{root: string, commands: string, write(file: string, text: string, mode?: number): void}} `commands`: an empty
 *   folder to use as PATH
 */
export function makeCheckout(t, files = {}) {
  const top = mkdtempSync(path.join(os.tmpdir(), 'bintrail setup '));
  t.after(() => rmSync(top, { recursive: true, force: true }));
  chmodSync(top, 0o755);
  const root = path.join(top, 'check out');
  const commands = path.join(top, 'commands');
  mkdirSync(commands);
  mkdirSync(path.join(root, 'infra/setup'), { recursive: true });
  for (const name of readdirSync(SETUP).filter((name) => name.endsWith('.mjs'))) {
    cpSync(path.join(SETUP, name), path.join(root, 'infra/setup', name));
  }
  const write = (file, text, mode) => {
    const absolute = path.resolve(root, file);
    mkdirSync(path.dirname(absolute), { recursive: true });
    writeFileSync(absolute, text);
    if (mode !== undefined) chmodSync(absolute, mode);
  };
  write('package-lock.json', '{}');
  for (const [file, text] of Object.entries(files)) write(file, text);
  return { root, commands, write };
}

/** Puts an `npm` into the commands that notes each call in npm.log, links this Node as the npm-provided one, and then runs `more`. */
export function fakeNpm({ root, commands, write }, more = '') {
  const folder = `node_modules/node-${process.platform}-${process.arch}/bin`;
  const link = `mkdir -p ${folder} && ln -sf '${process.execPath}' ${folder}/node`;
  write(path.join(commands, 'npm'), `#!/bin/sh\necho "$*" >> '${root}/npm.log'\n${link}\n${more}\n`, 0o755);
  for (const name of ['mkdir', 'ln', 'touch']) {
    const real = findCommand([name], process.env);
    if (!findCommand([name], { PATH: commands })) symlinkSync(real, path.join(commands, name));
  }
}

/** Without what the test runner adds: a `node --test` under test would otherwise think it is a part of this one. */
export function plainEnv(more = {}) {
  const {
    NODE_TEST_CONTEXT: _context,
    NODE_OPTIONS: _options,
    CLICKHOUSE_URL: _url,
    BINTRAIL_HOME: _home,
    ...env
  } = process.env;
  return { ...env, ...more };
}

/** @returns {{version: string, file: string} | undefined} a Node older than the one Bintrail runs on, if there is one */
export function findOldNode() {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/bin', '/usr/local/bin'];
  for (const file of new Set(folders.map((folder) => path.join(folder, 'node')))) {
    const { status, stdout } = spawnSync(file, ['--version'], { encoding: 'utf8' });
    const major = status === 0 ? Number(/^v(\d+)/.exec(stdout)?.[1]) : Number.NaN;
    if (major >= 18 && major < 24) return { version: stdout.trim(), file };
  }
  return undefined;
}

/** Starts entry.mjs in a process group of its own and collects what it prints. */
export function startEntry(
  node,
  { root, commands },
  args,
  { env = {}, cwd = root, nodeArgs = [], asNobody = false } = {},
) {
  const child = spawn(node, [...nodeArgs, path.join(root, 'infra/setup/entry.mjs'), ...args], {
    cwd,
    env: plainEnv({ PATH: commands, ...env }),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(asNobody ? { uid: 65_534, gid: 65_534 } : {}),
  });
  const texts = { stdout: '', stderr: '' };
  const waiting = [];
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => {
      texts[name] += text;
      for (const wake of waiting.splice(0)) wake();
    });
  }
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve({ error, ...texts }));
    child.once('close', (code, signal) => {
      for (const wake of waiting.splice(0)) wake();
      resolve({ code, signal, ...texts });
    });
  });
  const printed = async (text) => {
    while (!texts.stdout.includes(text) && child.exitCode === null && child.signalCode === null) {
      await new Promise((resolve) => waiting.push(resolve));
    }
    if (!texts.stdout.includes(text)) throw new Error(`ended without printing ${text}: ${JSON.stringify(texts)}`);
  };
  return { pid: child.pid, ended, printed };
}
