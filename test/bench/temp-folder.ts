import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder that is gone when this process ends, however it ends by itself. */
export function tempFolder(name: string, where = tmpdir()): string {
  const folder = mkdtempSync(join(where, `bintrail-bench-${name}-`));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
