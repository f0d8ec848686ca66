import { join } from 'node:path';
import { COMPACTED } from './bus.contract.kit.ts';
import { openSqliteBus } from './sqlite-bus.ts';

/** Opens the adapter as the contract suite and its child processes need it. */
export function open(location: string): ReturnType<typeof openSqliteBus> {
  return openSqliteBus({ path: join(location, 'bus.db'), compactedTopics: [COMPACTED] });
}
