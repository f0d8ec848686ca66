/** How the probe's process is started, so that it stays small: it is there for as long as the machine runs. */
import { fileURLToPath } from 'node:url';

export const PROBE_MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

/**
 * Node keeps compiled sources here, types already taken out. From the second start on no thread loads the compiler of
 * TypeScript, 18 MB each (measured). Beside the sources, because whoever may write here decides what the probe does.
 */
const COMPILE_CACHE = fileURLToPath(new URL('../build/compile-cache', import.meta.url));

/** Three of these are the young generation of the heap, which a storm would let grow to 57 MB (measured). */
export const PROBE_NODE_OPTIONS = ['--max-semi-space-size=4'];

export function probeEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, NODE_COMPILE_CACHE: COMPILE_CACHE };
}
