/** Which family of hooks this probe uses: what the kernel allows, or what it was told. */
import { readFileSync } from 'node:fs';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { type ExecSteps, openExecSteps } from './exec-steps.ts';
import type { Libbpf, Libc } from './ffi.ts';

export const HOOK_SETTINGS = ['auto', 'lsm', 'tracepoint'] as const;
export type HookSetting = (typeof HOOK_SETTINGS)[number];

/** `refusal`: why `auto` did without the lsm family, in words. */
export type Hooks =
  | { readonly family: 'lsm'; readonly steps: ExecSteps }
  | { readonly family: 'tracepoint'; readonly steps: undefined; readonly refusal: string | undefined };

/** The LSMs that are on, in their order (Documentation/admin-guide/LSM/index.rst). */
const LSM_LIST = '/sys/kernel/security/lsm';

/** Throws SetupError when `lsm` is asked for and refused, saying by what. */
export function chooseHooks(setting: HookSetting, libbpf: Libbpf, libc: Libc, objectPath: string): Hooks {
  if (setting === 'tracepoint') return { family: 'tracepoint', steps: undefined, refusal: undefined };
  try {
    const steps = openExecSteps(libbpf, libc, objectPath);
    const inactive = whyNoLsmHooks();
    if (inactive === undefined) return { family: 'lsm', steps };
    steps.close();
    throw new SetupError(inactive, 'boot with bpf in lsm=, or set BINTRAIL_HOOKS to auto or tracepoint');
  } catch (error) {
    if (setting === 'lsm' || !(error instanceof SetupError)) throw error;
    return { family: 'tracepoint', steps: undefined, refusal: error.message };
  }
}

/** A program on a hook of an LSM that is off would load, attach, and never be called. */
function whyNoLsmHooks(): string | undefined {
  try {
    const active = readFileSync(LSM_LIST, 'utf8').trim();
    return active.split(',').includes('bpf') ? undefined : `bpf is not among the LSMs of this kernel (${active})`;
  } catch {
    return `${LSM_LIST} cannot be read, so bpf is taken to be none of the LSMs: mount -t securityfs securityfs /sys/kernel/security`;
  }
}
