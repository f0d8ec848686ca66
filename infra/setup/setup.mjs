import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { runBuild, staleBuilds } from './build.mjs';
import { describeMissing, findMissing } from './checks.mjs';
import { dependenciesAreCurrent, findRuntimeNode, installDependencies, missingDependencies } from './dependencies.mjs';
import { fetchKafka, kafkaIsFetched, wantsKafka } from './kafka.mjs';
import { endLike, launch } from './launch.mjs';
import { installPackages } from './packages.mjs';
import { StepFailed } from './progress.mjs';
import { runRings } from './rings.mjs';
import { createServiceUser, missingServiceUsers } from './service-user.mjs';
import { fetchVm, wantsVm } from './vm.mjs';

/** Exit codes of sysexits.h: the command line is wrong; something the machine must provide is missing. */
const EX_USAGE = 64;
const EX_CONFIG = 78;

const USAGE = `usage: node infra/setup/entry.mjs start [--replay] [arguments of Bintrail]
       node infra/setup/entry.mjs test
       node infra/setup/entry.mjs probe
       node infra/setup/entry.mjs run <file> [arguments]`;

const PROGRAM = 'services/standalone/src/main.ts';
const PROBE = 'services/probe/src/main.ts';

/** What to offer where probes cannot run. */
const REPLAY_OFFER = 'npm start -- --replay shows it on a recorded sample';

/**
 * `replay` is a start without probes, `probe` one of nothing else.
 * @returns {{mode: 'start'|'replay'|'test'|'probe'|'run', file?: string, args: string[]} | {error: string}}
 */
export function parseCommand([mode, ...args]) {
  if (mode === 'start') return { mode: args.includes('--replay') ? 'replay' : mode, file: PROGRAM, args };
  if (mode === 'probe') return { mode, file: PROBE, args };
  if (mode === 'test')
    return args.length === 0 ? { mode, args } : { error: `test takes no arguments: ${args.join(' ')}` };
  if (mode === 'run')
    return args.length > 0 ? { mode, file: args[0], args: args.slice(1) } : { error: 'run: which file?' };
  return { error: mode === undefined ? 'start, test, probe or run?' : `unknown command: ${mode}` };
}

/**
 * Does what is missing, then runs the command; ends the process with the program's exit code or signal.
 * Exit 64: wrong arguments. 78: the machine lacks something set-up cannot get; all of it is printed at once.
 */
export async function main(argv, env) {
  const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
  const command = parseCommand(argv);
  if (command.error === undefined && command.mode === 'run' && !existsSync(path.resolve(root, command.file))) {
    command.error = `no such file in ${root}: ${command.file}`;
  }
  if (command.error !== undefined) {
    console.error(`${command.error}\n${USAGE}`);
    process.exitCode = EX_USAGE;
    return;
  }
  try {
    const missing = await setUp(root, command.mode, env);
    if (missing.length > 0) console.error(describeMissing(missing, env));
    if (missing.some((need) => command.mode !== 'test' || need.always)) {
      if (command.mode === 'start' && missing.some((need) => need.only === 'probes')) console.error(REPLAY_OFFER);
      process.exitCode = EX_CONFIG;
      return;
    }
    await runCommand(root, command, env, missing);
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    if (error.interruptedBy) return endLike({ signal: error.interruptedBy });
    console.error(error.message);
    process.exitCode = EX_CONFIG;
  }
}

/** Brings the machine to where the command can run. @returns what is still missing, empty when nothing is. */
async function setUp(root, mode, env) {
  const onlyPackages = mode === 'run' || process.platform !== 'linux';
  const stale = onlyPackages ? [] : staleBuilds(root, env);
  // A replay compiles no probe, and a node that runs but the probe no store.
  const unused = { replay: 'clang', probe: 'cc' }[mode];
  const builds = stale.filter((build) => build.tool !== unused);
  const installs = !dependenciesAreCurrent(root);
  const folders = [...(installs ? ['node_modules'] : []), ...builds.map((build) => path.dirname(build.output))];
  const kafka = wantsKafka(root, mode, env) ? { fetched: kafkaIsFetched(root) } : undefined;
  // They show probes something, and those need root.
  const containers = mode === 'test' && process.getuid?.() === 0;
  const vm = wantsVm(root, mode);
  const context = {
    mode,
    env,
    builds,
    kafka,
    containers,
    vm,
    writes: [...new Set(folders)].map((folder) => path.join(root, folder)),
  };
  let missing = findMissing(context);
  if (missing.some((need) => need.packages) && process.getuid?.() === 0) {
    if (await installPackages(missing, env).catch(toleratedInTests(mode))) missing = findMissing(context);
  }
  if (missing.some((need) => mode !== 'test' || need.always)) return missing;

  if (installs) await installDependencies(root, env);
  missing.push(...missingDependencies(root, mode, env));
  if (onlyPackages) return missing;

  for (const build of builds) {
    if (!missing.some((need) => need.blocks?.includes(build.tool))) await runBuild(build, env);
  }
  if (kafka && !missing.some((need) => need.only === 'kafka')) {
    const failed = await fetchKafka(root, env).catch(toleratedInTests(mode));
    if (failed) missing.push(NO_KAFKA);
  }
  if (vm && !missing.some((need) => need.only === 'vm')) {
    const failed = await fetchVm(root, env).catch(toleratedInTests(mode));
    if (failed) missing.push(NO_VM_KERNEL);
  }
  if (process.getuid?.() === 0) for (const user of missingServiceUsers()) await createServiceUser(user, env);
  return missing;
}

const NO_KAFKA = {
  name: 'Apache Kafka',
  purpose: 'Maven could not fetch it (its words are above)',
  remedy: 'give Maven a way to its repository, or set KAFKA_BROKERS to a broker for tests',
  only: 'kafka',
};

const NO_VM_KERNEL = {
  name: "Debian's cloud kernel",
  purpose: 'apt-get could not fetch it for the virtual machine of the tests (its words are above)',
  remedy: "give apt a way to Debian's packages",
  only: 'vm',
};

/** Rings that do without what could not be installed still run. */
function toleratedInTests(mode) {
  return (error) => {
    if (mode !== 'test' || !(error instanceof StepFailed) || error.interruptedBy) throw error;
    console.error(error.message);
    return true;
  };
}

async function runCommand(root, { mode, file, args }, env, missing) {
  const node = findRuntimeNode(root);
  const folders = [path.join(root, 'node_modules/.bin'), path.dirname(node), env.PATH];
  const childEnv = { ...env, PATH: folders.filter(Boolean).join(path.delimiter) };
  // Relative to where the user stands; the program itself always runs in the checkout.
  if (env.BINTRAIL_HOME) childEnv.BINTRAIL_HOME = path.resolve(env.BINTRAIL_HOME);
  if (mode === 'test') {
    process.exitCode = await runRings(root, node, childEnv, missing);
    return;
  }
  endLike(await launch(node, [path.resolve(root, file), ...args], { cwd: root, env: childEnv, stdio: 'inherit' }));
}
