/** Schemathesis, the property-based tester of OpenAPI documents, in a Python environment of its own. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const VERSION = '4.32.5';
const CACHE = fileURLToPath(new URL('../../../node_modules/.cache/bintrail/', import.meta.url));
const INSTALL_MS = 180_000;

const run = promisify(execFile);

export type Tool = { readonly command: string } | { readonly whyNot: string };

/** Installs it where it is not yet: once per checkout, some 60 MB. Says why where that does not work. */
export async function installSchemathesis(): Promise<Tool> {
  const folder = `${CACHE}schemathesis-${VERSION}`;
  const command = `${folder}/bin/st`;
  if (existsSync(command)) return { command };
  const own = `${folder}.${process.pid}`;
  mkdirSync(CACHE, { recursive: true });
  try {
    await run('python3', ['-m', 'venv', own], { timeout: INSTALL_MS });
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `schemathesis==${VERSION}`];
    await run(`${own}/bin/python`, pip, { timeout: INSTALL_MS });
    // Scripts of an environment name its folder: made in place, kept aside until it is whole.
    renameSync(own, folder);
    await run(`${folder}/bin/python`, [...pip, '--force-reinstall', '--no-deps'], { timeout: INSTALL_MS });
    return { command };
  } catch (error) {
    rmSync(own, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
    const { stderr = '', message } = error as { stderr?: string; message: string };
    return { whyNot: `needs Python 3.10 with venv, and PyPI: ${lastLine(stderr) || lastLine(message)}` };
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
