import type { ContainerSource } from './facts.ts';
export function openCri(runtime: string, socketPath: string): ContainerSource {
  return { name: `${runtime}=${socketPath}`, runtimes: [runtime], find: async () => undefined, close: () => {} };
}
