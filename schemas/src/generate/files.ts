import { fileURLToPath } from 'node:url';
import { cHeader } from './c-header.ts';
import { cddl } from './cddl.ts';
import { goldenFiles } from './golden.ts';

export type GeneratedFile = { readonly path: string; readonly content: string | Uint8Array };

const root = new URL('../../../', import.meta.url);

/** Everything that is generated and committed; `files.test.ts` compares it with what is on disk. */
export function generatedFiles(): GeneratedFile[] {
  return [
    { path: fileURLToPath(new URL('bpf/gen/events.h', root)), content: cHeader() },
    { path: fileURLToPath(new URL('schemas/bintrail.cddl', root)), content: cddl() },
    ...goldenFiles().map(({ path, content }) => ({ path: fileURLToPath(path), content })),
  ];
}
