export function vmFolder(root: string): string;
export function fetchVm(root: string, env: NodeJS.ProcessEnv): Promise<void>;
export function missingForVm(env: NodeJS.ProcessEnv): { name: string }[];
