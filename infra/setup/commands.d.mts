export function findCommand(names: readonly string[], env: NodeJS.ProcessEnv): string | undefined;
export function withAdminCommands(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv;
