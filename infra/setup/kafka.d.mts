export function kafkaFolder(root: string): string;
export function fetchKafka(root: string, env: NodeJS.ProcessEnv): Promise<void>;
