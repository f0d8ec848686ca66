import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runStep } from './progress.mjs';

/** The first Node that runs our TypeScript as is and carries the SQLite we rely on. */
const RUNTIME_NODE_MAJOR = 24;

/** Written before npm begins, replaced by the lock file's hash when it is done: a killed install is not trusted. */
const STAMP = 'node_modules/.bintrail-setup';
const INSTALLING = 'installing';

/**
 * Not `npm ci`: it refuses a lock file that lacks some other platform's optional package, and empties node_modules
 * under a Bintrail that runs from it. Install scripts are not needed: the native parts come as prebuilt packages.
 */
const NPM_INSTALL = [
  ...['npm', 'install', '--no-save', '--ignore-scripts', '--include=dev', '--include=optional', '--prefer-offline'],
  ...['--no-audit', '--no-fund', '--loglevel=http'],
];
const NPM_PROGRESS_LINE = /^npm http /;

export function dependenciesAreCurrent(root) {
  return readStamp(root) === lockHash(root);
}

/** Makes node_modules what package-lock.json says. Throws StepFailed with npm's output. */
export async function installDependencies(root, env) {
  if (readStamp(root) === INSTALLING) rmSync(path.join(root, 'node_modules'), { recursive: true, force: true });
  mkdirSync(path.join(root, 'node_modules'), { recursive: true });
  writeFileSync(path.join(root, STAMP), INSTALLING);
  const hash = lockHash(root);
  await runStep('npm packages', NPM_INSTALL, { cwd: root, env, hide: NPM_PROGRESS_LINE });
  writeFileSync(path.join(root, STAMP), hash);
}

/** What npm should have brought and did not: it skips an optional package it cannot get without a word. */
export function missingDependencies(root, mode, env) {
  const missing = [];
  if (findRuntimeNode(root) === undefined) {
    missing.push({
      name: `Node ${RUNTIME_NODE_MAJOR} or newer`,
      purpose: `runs Bintrail; npm could not bring its own (node-linux-${process.arch})`,
      remedy: `install Node ${RUNTIME_NODE_MAJOR} or newer, or remove node_modules and start again`,
      always: true,
    });
  }
  const engine = `node_modules/@chdb/lib-linux-${process.arch}-gnu/libchdb.so`;
  if (
    mode !== 'run' &&
    mode !== 'probe' &&
    process.platform === 'linux' &&
    !env.CLICKHOUSE_URL &&
    !existsSync(path.join(root, engine))
  ) {
    missing.push({
      name: engine,
      purpose: 'the embedded ClickHouse, which npm could not bring (it exists for glibc only)',
      remedy: 'set CLICKHOUSE_URL to a ClickHouse server, or remove node_modules and start again',
    });
  }
  return missing;
}

/**
 * Not by node_modules/.bin/node: npm 10 removes that link with the package for the other processor, which has the same.
 * @returns the Node that npm brought, else the one running when it is new enough, else undefined
 */
export function findRuntimeNode(root) {
  const own = path.join(root, `node_modules/node-${process.platform}-${process.arch}/bin/node`);
  if (existsSync(own)) return own;
  return Number(process.versions.node.split('.')[0]) >= RUNTIME_NODE_MAJOR ? process.execPath : undefined;
}

function lockHash(root) {
  const lock = readFileSync(path.join(root, 'package-lock.json'));
  return createHash('sha256').update(`${process.platform} ${process.arch}\n`).update(lock).digest('hex');
}

function readStamp(root) {
  const file = path.join(root, STAMP);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
