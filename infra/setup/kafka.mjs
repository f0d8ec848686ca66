import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { findCommand } from './commands.mjs';
import { runStep } from './progress.mjs';

const POM = 'test/pom.xml';

/** @returns whether this command wants a broker of its own: KAFKA_BROKERS names one that is there already */
export function wantsKafka(root, mode, env) {
  return mode === 'test' && !env.KAFKA_BROKERS && existsSync(path.join(root, POM));
}

/** The folder of Kafka's jars, another one for another pom.xml; may not exist yet. */
export function kafkaFolder(root) {
  const version = createHash('sha256')
    .update(readFileSync(path.join(root, POM)))
    .digest('hex')
    .slice(0, 12);
  return path.join(root, 'test/build', `kafka-${version}`);
}

export const kafkaIsFetched = (root) => existsSync(kafkaFolder(root));

/** Brings Kafka's jars from Maven's repository, once. Throws StepFailed with Maven's words. */
export async function fetchKafka(root, env) {
  const folder = kafkaFolder(root);
  if (existsSync(folder)) return;
  const partial = `${folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  const goal = ['-B', '-f', path.join(root, POM), 'dependency:copy-dependencies', `-DoutputDirectory=${partial}`];
  await runStep('Apache Kafka', [findCommand(['mvn'], env) ?? 'mvn', ...goal], { cwd: root, env });
  renameSync(partial, folder);
}
