import { accessSync, constants } from 'node:fs';
import path from 'node:path';

/** Newest first; LLVM 11 is the first whose BPF output carries the CO-RE relocations we use. */
const CLANG = ['clang', ...Array.from({ length: 20 }, (_, i) => `clang-${30 - i}`)];

/** Where administrators' commands are when PATH, as after a plain `su`, does not say so. */
export const ADMIN_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** @returns the absolute path of the first of these commands that PATH holds, or undefined */
export function findCommand(names, env) {
  const folders = (env.PATH ?? '').split(path.delimiter).filter(Boolean);
  for (const name of names) {
    for (const folder of folders) {
      const file = path.join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {}
    }
  }
  return undefined;
}

export const findClang = (env) => findCommand(CLANG, env);
export const findCompiler = (env) => findCommand(['cc', 'gcc', ...CLANG], env);

/** @returns the environment with the folders of administrators' commands on its PATH */
export function withAdminCommands(env) {
  return { ...env, PATH: [env.PATH, ...ADMIN_FOLDERS].filter(Boolean).join(path.delimiter) };
}
