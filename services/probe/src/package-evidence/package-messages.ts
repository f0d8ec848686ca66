/** What the probe's main thread and the thread that reads containers' package databases say to each other. */
import type { Answer, Question } from './container-packages.ts';

export type PackageThreadData = { readonly describeProgramFd: number };
export type ToPackageThread = { readonly id: number; readonly question: Question };
export type FromPackageThread = { readonly id: number; readonly answer: Answer };
