import { launch } from './launch.mjs';

/** A set-up step that ended badly; the message holds the command and all it printed. */
export class StepFailed extends Error {
  constructor(message, interruptedBy) {
    super(message);
    this.interruptedBy = interruptedBy;
  }
}

const REDRAW_MS = 200;
const PLAIN_LINE_EVERY_MS = 10_000;
const KEPT_OUTPUT_CHARS = 1_000_000;
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours are control characters
const COLOURS = /\u001b\[[0-9;]*[A-Za-z]/g;

export function withoutColours(text) {
  return text.replace(COLOURS, '');
}

/**
 * Shows one long step: a line redrawn in place on a terminal, else a plain line at the start, every 10 s and at the end.
 * @returns {{note(line: string): void, end(outcome: string): void}} `note` sets what the step is doing now
 */
export function showProgress(title, stream = process.stderr) {
  const startedAtMs = Date.now();
  const seconds = () => Math.round((Date.now() - startedAtMs) / 1000);
  let lastLine = '';
  const redraw = () => {
    const line = `${title}  ${seconds()} s  ${lastLine}`;
    stream.write(`\r\u001b[2K${line.slice(0, Math.max(20, (stream.columns ?? 80) - 1))}`);
  };
  const plain = () => stream.write(`${title}: ${seconds()} s, ${lastLine || 'started'}\n`);
  if (stream.isTTY) redraw();
  else stream.write(`${title} …\n`);
  const timer = setInterval(stream.isTTY ? redraw : plain, stream.isTTY ? REDRAW_MS : PLAIN_LINE_EVERY_MS);
  return {
    note: (line) => {
      const text = withoutColours(line).trim();
      if (text !== '') lastLine = text;
    },
    end: (outcome) => {
      clearInterval(timer);
      stream.write(`${stream.isTTY ? '\r\u001b[2K' : ''}${title}: ${outcome} (${seconds()} s)\n`);
    },
  };
}

/** Calls `onLine` with each complete line of a stream, and with an unfinished last one. */
export function eachLine(stream, onLine) {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) onLine(line);
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}

/**
 * Runs one command of the set-up, showing only its last line. Throws StepFailed with its output when it fails.
 * @param {{cwd?: string, env: object, hide?: RegExp}} options `hide`: lines worth showing live, not worth keeping
 */
export async function runStep(title, [command, ...args], { cwd, env, hide }) {
  const progress = showProgress(title);
  let kept = '';
  const onLine = (line) => {
    progress.note(line);
    if (!hide?.test(line)) kept = `${kept}${line}\n`.slice(-KEPT_OUTPUT_CHARS);
  };
  const onChild = (child) => {
    eachLine(child.stdout, onLine);
    eachLine(child.stderr, onLine);
  };
  const ended = await launch(command, args, {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    group: true,
    onChild,
  }).catch((error) => ({ code: null, signal: null, reason: error.message }));
  if (ended.code === 0 && ended.forwarded === undefined) {
    progress.end('done');
    return;
  }
  progress.end(ended.forwarded ? `interrupted by ${ended.forwarded}` : 'failed');
  const reason = ended.reason ?? (ended.signal ? `ended by ${ended.signal}` : `exit code ${ended.code}`);
  throw new StepFailed(`${kept}${title}: ${reason}\n  ${[command, ...args].join(' ')}`, ended.forwarded);
}
