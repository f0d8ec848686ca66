import { readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { endLike, launch } from './launch.mjs';
import { eachLine, showProgress, withoutColours } from './progress.mjs';

/** `node --test` runs files in parallel itself, but all of them wait a third of the time (measured on two processors). */
const TASKS_AT_A_TIME = 3;

/** Names turbo itself among the tasks it runs. */
const TURBO = 'turbo';

/** What `node --test` prints after its counts. */
const END_OF_TESTS = /^ℹ duration_ms /;

/**
 * `needs`: of whom what is missing keeps this part of a ring from running (`only` in checks.mjs; ANYBODY: what says nothing
 * of the kind); without it, it runs on any machine.
 */
const ANYBODY = 'anybody';
const PROBES = [ANYBODY, 'probes'];
const RINGS = [
  { title: 'types and lint', tasksAtATime: TASKS_AT_A_TIME, parts: [{ tasks: ['typecheck', 'lint'] }] },
  {
    title: 'unit tests and services',
    tasksAtATime: TASKS_AT_A_TIME,
    parts: [
      { tasks: ['test:setup', 'test:bench', 'test'] },
      { title: 'services', tasks: ['test:services'], needs: [ANYBODY] },
    ],
  },
  // One after the other (turbo.json), three brokers and then a whole fleet's pipeline, either of which waits for a third of
  // the time. The virtual machine wants one processor, and its clock counts instructions: nothing there is late for it.
  {
    title: 'kafka, drills, virtual machine',
    tasksAtATime: 2,
    parts: [
      { title: 'kafka', tasks: ['test:kafka'], needs: ['kafka'] },
      { title: 'fault drills', tasks: ['test:faults'], needs: [...PROBES, 'kafka'] },
      { title: 'virtual machine', tasks: ['test:vm'], needs: [...PROBES, 'vm'] },
    ],
  },
  // Alone: these load probes into this machine's kernel and measure what it does.
  { title: 'end to end', tasksAtATime: 1, parts: [{ tasks: ['test:e2e'], needs: PROBES }] },
];

/**
 * Runs all rings this machine can, prints each task's outcome, the output of failed ones, why anything was skipped,
 * and alone on the last line `N passed, N failed, N skipped`. @returns the exit code, 1 when anything failed
 */
export async function runRings(root, node, env, missing) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  const skips = [];
  for (const ring of RINGS) {
    const runnable = ring.parts.filter(({ title = ring.title, needs }) => {
      const lacking = missing.filter(({ only = ANYBODY }) => needs?.includes(only));
      if (lacking.length > 0) skips.push(`${title}: this machine lacks ${namesOf(lacking).join(', ')} (see above)`);
      return lacking.length === 0;
    });
    total.skipped += ring.parts.length - runnable.length;
    if (runnable.length === 0) continue;
    const tasks = runnable.flatMap((part) => part.tasks);
    const { outcomes, interruptedBy } = await runRing(
      { ...ring, tasks },
      root,
      ringEnvironment(root, env, node, missing),
    );
    if (interruptedBy) {
      endLike({ signal: interruptedBy });
      return 1;
    }
    for (const outcome of outcomes) {
      for (const key of Object.keys(total)) total[key] += outcome[key];
      skips.push(...outcome.skips.map((skip) => `${outcome.task}: ${skip}`));
      printOutcome(outcome);
    }
  }
  if (skips.length > 0) console.log(['Skipped:', ...skips].join('\n  '));
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return total.failed > 0 ? 1 : 0;
}

const namesOf = (needs) => needs.map(({ name }) => name);

/**
 * What a cached outcome depends on beside sources and settings goes into the cache's key by TEST_MACHINE. Tests start Node
 * hundreds of times, and half of such a start is compiling TypeScript (measured): once is enough.
 */
function ringEnvironment(root, env, node, missing) {
  const user = process.getuid?.() === 0 ? 'root' : 'user';
  return {
    NODE_COMPILE_CACHE: path.join(root, 'node_modules/.cache/node'),
    ...env,
    TEST_MACHINE: [os.type(), os.release(), process.arch, user, node, ...namesOf(missing)].join(' '),
    TURBO_TELEMETRY_DISABLED: '1',
    TURBO_NO_UPDATE_NOTIFIER: '1',
  };
}

async function runRing({ title, tasks, tasksAtATime }, root, env) {
  const progress = showProgress(title);
  const logs = new Map([[TURBO, []]]);
  /** The last line of each task that has begun, empty once it printed its closing counts: what a hang hangs in. */
  const running = new Map();
  const onLine = (line) => {
    const { taskId, text } = parseLogLine(line);
    if (!logs.has(taskId)) logs.set(taskId, []);
    logs.get(taskId).push(text);
    if (END_OF_TESTS.test(text)) running.set(taskId, '');
    else if (taskId !== TURBO && text !== '' && running.get(taskId) !== '')
      running.set(taskId, `${taskName(taskId)}: ${text}`);
    progress.note([...running.values()].filter(Boolean).join('; '));
  };
  const ended = await launch(path.join(root, 'node_modules/.bin/turbo'), [...turboArgs(tasksAtATime), ...tasks], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    group: true,
    onChild: (child) => {
      eachLine(child.stdout, onLine);
      eachLine(child.stderr, onLine);
    },
  });
  progress.end(ended.forwarded ? `interrupted by ${ended.forwarded}` : 'done');
  if (ended.forwarded) return { outcomes: [], interruptedBy: ended.forwarded };
  const summary = readSummary(logs.get(TURBO));
  const outcomes = (summary ?? []).map((task) => judgeTask(task, logs.get(task.taskId) ?? []));
  const unexplained = ended.code !== 0 && outcomes.every((outcome) => outcome.failed === 0);
  if (summary === undefined || unexplained) outcomes.push(judgeTask({ taskId: TURBO }, logs.get(TURBO)));
  return { outcomes };
}

/** Not turbo's --json: it makes a line of every piece a program happens to write, and counts would fall apart. */
function turboArgs(tasksAtATime) {
  const output = ['--ui=stream', '--log-order=stream', '--log-prefix=task', '--no-color'];
  return ['run', ...output, '--summarize', '--continue=always', `--concurrency=${tasksAtATime}`];
}

/** Splits `@bintrail/api:test: text` or `//:lint: text`; a line without such a prefix is turbo's own. */
export function parseLogLine(line) {
  const [, workspace, task, text] = /^(@bintrail\/[\w-]+|\/\/):([\w:-]+): ?(.*)$/.exec(withoutColours(line)) ?? [];
  return workspace === undefined ? { taskId: TURBO, text: line } : { taskId: `${workspace}#${task}`, text };
}

/** turbo's own account of a run: exit code and cache use of each task. Read once, then removed: it keeps them for ever. */
function readSummary(turboLines) {
  const file = turboLines.map((line) => /^\s*Summary:\s+(.+?)\s*$/.exec(line)?.[1]).find(Boolean);
  if (file === undefined) return undefined;
  const { tasks } = JSON.parse(readFileSync(file, 'utf8'));
  rmSync(file);
  return tasks.sort((a, b) => (a.execution?.endTime ?? 0) - (b.execution?.endTime ?? 0));
}

const taskName = (taskId) => taskId.replace(/^\/\/#/, '').replace(/#test$/, '');

/**
 * What one task did. A task that prints no test counts (types, lint) counts as one test, as does an end by anything
 * but a failed test. @param {string[]} log the task's output, replayed or not
 */
export function judgeTask({ taskId, cache, execution }, log) {
  const { ran, ...counts } = countTests(log);
  const exitCode = execution?.exitCode;
  if (exitCode !== 0 && counts.failed === 0) counts.failed = 1;
  if (exitCode === 0 && !ran) counts.passed = 1;
  const durationMs = (execution?.endTime ?? 0) - (execution?.startTime ?? 0);
  return { task: taskName(taskId), ...counts, log, cached: cache?.status === 'HIT', durationMs };
}

/** Sums the closing counts of every `node --test` run in a log, and collects what it skipped with its reasons. */
export function countTests(log) {
  const sums = { pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 };
  const skips = [];
  let ran = false;
  for (const line of log) {
    const count = /^ℹ (pass|fail|cancelled|skipped|todo) (\d+)$/.exec(line);
    if (count) {
      ran = true;
      sums[count[1]] += Number(count[2]);
    }
    const skip = /^\s*﹣ (.+) \([\d.]+ms\)(?: # (.*))?$/.exec(line);
    if (skip) skips.push(`${skip[1]}: ${skip[2] && skip[2] !== 'SKIP' ? skip[2] : 'no reason given'}`);
  }
  return { ran, passed: sums.pass, failed: sums.fail + sums.cancelled, skipped: sums.skipped + sums.todo, skips };
}

function printOutcome({ task, passed, failed, skipped, log, cached, durationMs }) {
  const counts = [
    [passed, 'passed'],
    [failed, 'failed'],
    [skipped, 'skipped'],
  ].filter(([n]) => n > 0);
  const words = counts.map(([n, word]) => `${n} ${word}`).join(', ') || 'no tests';
  const took = cached ? 'cached' : `${(durationMs / 1000).toFixed(1)} s`;
  console.log(`  ${failed > 0 ? 'FAIL' : 'ok  '}  ${task.padEnd(22)}  ${words} (${took})`);
  if (failed > 0) console.log(log.map((line) => `        ${line}`).join('\n'));
}
