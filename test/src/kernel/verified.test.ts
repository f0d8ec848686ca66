/**
 * How many instructions the verifier goes through for each BPF program: what loading costs, and how near a program is to
 * the limit of a million. Kept per kernel in bpf/verified.json.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { changeWays, chooseChangeHooks } from '@bintrail/probe/change-hooks.ts';
import { collectLibbpfWarnings, isNull, type Libbpf, loadLibbpf, loadLibc, type Pointer } from '@bintrail/probe/ffi.ts';
import { chooseOptionalHooks } from '@bintrail/probe/optional-hooks.ts';
import { whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
const bpfFile = (name: string) => fileURLToPath(new URL(`../../../bpf/${name}`, import.meta.url));
/** Compilers differ, and small changes have large effects; growth beyond this share is meant or a mistake. */
const MAY_GROW = 1.25;
const KERNEL = release().split('.').slice(0, 2).join('.');

type Counts = Record<string, number>;

/** struct bpf_prog_info.verified_insns (include/uapi/linux/bpf.h). */
const VERIFIED_AT = 216;

function verifiedInstructions(libbpf: Libbpf, program: Pointer): number {
  const info = new DataView(new ArrayBuffer(VERIFIED_AT + 4));
  const size = new Uint32Array([info.byteLength]);
  assert.ok(Number(libbpf.objectInfo(libbpf.programFd(program), new Uint8Array(info.buffer), size)) >= 0);
  return info.getUint32(VERIFIED_AT, true);
}

/** Of the programs that are loaded; undefined when the kernel refuses the object. */
function countsOf(libbpf: Libbpf, name: string, choose: (object: Pointer) => void): Counts | undefined {
  const object = libbpf.openFile(bpfFile(`build/${name}.bpf.o`), 0n) as Pointer;
  assert.ok(!isNull(object), `${name}.bpf.o is not built`);
  try {
    choose(object);
    if (Number(libbpf.load(object)) < 0) return undefined;
    const counts: Counts = {};
    for (let at = libbpf.nextProgram(object, 0n); !isNull(at); at = libbpf.nextProgram(object, at)) {
      if (Number(libbpf.programFd(at)) >= 0)
        counts[`${name}.${libbpf.programName(at)}`] = verifiedInstructions(libbpf, at);
    }
    return counts;
  } finally {
    libbpf.closeObject(object);
  }
}

test('the verifier has no more to do for any program than is written down', { skip, timeout: 60_000 }, (t) => {
  const libbpf = loadLibbpf();
  // Of lsm.bpf.o, where it is refused.
  const stopCollecting = collectLibbpfWarnings(libbpf, loadLibc(), []);
  const counts: Counts = {};
  for (const way of changeWays(libbpf, true).reverse()) {
    Object.assign(
      counts,
      countsOf(libbpf, 'bintrail', (object) => {
        chooseOptionalHooks(libbpf, object);
        chooseChangeHooks(libbpf, object, way);
      }),
    );
  }
  Object.assign(counts, {
    ...countsOf(libbpf, 'census', () => {}),
    // Where the kernel refuses trampolines: none of these.
    ...countsOf(libbpf, 'lsm', () => {}),
  });
  stopCollecting();
  assert.ok(counts['bintrail.on_exec']! > 0);
  const written = (JSON.parse(readFileSync(bpfFile('verified.json'), 'utf8')) as Record<string, Counts>)[KERNEL];
  const now = `"${KERNEL}": ${JSON.stringify(counts, null, 2)}`;
  if (written === undefined) return t.skip(`bpf/verified.json has no counts for this kernel: ${now}`);
  const unknown = Object.keys(counts).filter((name) => written[name] === undefined);
  if (unknown.length > 0) t.diagnostic(`not in bpf/verified.json yet: ${unknown.join(', ')}; ${now}`);
  const grown = Object.entries(counts).filter(([name, count]) => count > (written[name] ?? count) * MAY_GROW);
  assert.deepEqual(
    grown.map(([name, count]) => `${name}: ${written[name]} → ${count}`),
    [],
    `if that is meant, put into bpf/verified.json: ${now}`,
  );
});
