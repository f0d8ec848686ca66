/** A flood of files: an archive that is unpacked, programs that are built, others written to again and again. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../kernel/probe-kit.ts';

const REWRITE_SOURCE = fileURLToPath(new URL('./rewrite.c', import.meta.url));
const FILES_PER_FOLDER = 250;
const QUIET = { maxBuffer: 1 << 26 };

export type Flood = {
  /** Unpacks the archive, builds programs and looks through a folder, all at once. */
  readonly come: () => Promise<void>;
  /** Writes to each of so many programs once, then once more, and so on; a clock tick and more between the rounds. */
  readonly rewrite: (files: number, rounds: number) => Promise<void>;
  /** Where archives are unpacked. */
  readonly unpacked: string;
};

export type FloodSize = {
  readonly files: number;
  /** How many of the files are executable: every so manieth. */
  readonly executableEvery: number;
  readonly sources: number;
  /** What is looked through meanwhile. */
  readonly look: string;
};

/** Prepares it all below `folder`: nothing of that is part of the flood. */
export async function prepareFlood(
  folder: string,
  { files, executableEvery, sources, look }: FloodSize,
): Promise<Flood> {
  const [tree, unpacked, code] = ['tree', 'unpacked', 'code'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (let from = 0; from < files; from += FILES_PER_FOLDER) {
    const inside = join(tree, `d${from / FILES_PER_FOLDER}`);
    mkdirSync(inside, { recursive: true });
    for (let which = from; which < Math.min(files, from + FILES_PER_FOLDER); which++) {
      const mode = which % executableEvery === 0 ? 0o755 : 0o644;
      writeFileSync(join(inside, `f${which}`), `#!/bin/sh\n# ${which}\n${'x'.repeat(which % 4096)}\n`, { mode });
    }
  }
  await run('tar', ['-C', tree, '-cf', `${tree}.tar`, '.']);
  rmSync(tree, { recursive: true });
  mkdirSync(code);
  for (let which = 0; which < sources; which++) {
    writeFileSync(
      join(code, `s${which}.c`),
      `#include <stdio.h>\nint f${which}(void) { return printf("${which}"); }\n`,
    );
  }
  writeFileSync(join(code, 'main.c'), 'int main(void) { return 0; }\n');
  await run('cc', ['-O1', '-o', join(folder, 'rewrite'), REWRITE_SOURCE]);

  const unpack = async () => {
    // Each time into a folder of its own: to remove the last one would be a flood too.
    mkdirSync(unpacked, { recursive: true });
    await run('tar', ['-C', mkdtempSync(join(unpacked, 'd')), '-xf', `${tree}.tar`]);
  };
  const build = () =>
    run('sh', ['-ec', 'ls *.c | xargs -P 2 -n 1 cc -O1 -c; cc -o program *.o; rm *.o'], { cwd: code, ...QUIET });
  // Other files go while it looks.
  const lookThrough = () => run('sh', ['-c', `find ${look} -xdev -type f >/dev/null 2>&1; true`]);
  return {
    unpacked,
    come: async () => {
      await Promise.all([unpack(), build(), lookThrough()]);
    },
    rewrite: async (count, rounds) => {
      await run(join(folder, 'rewrite'), [join(folder, 'again'), `${count}`, `${rounds}`]);
    },
  };
}
