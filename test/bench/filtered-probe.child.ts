/** The probe with another filter than its own, else as it is: filtered-probe.child.ts CHANGES USES REPEAT_AFTER_NS */
import { join } from 'node:path';
import { readBootId } from '@bintrail/probe/host.ts';
import { startProbe } from '@bintrail/probe/probe.ts';
import { redactArguments } from '@bintrail/probe/redact.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { BPF_OBJECT, CENSUS_OBJECT, LSM_OBJECT } from '../src/kernel/probe-kit.ts';

process.env.UV_THREADPOOL_SIZE ??= '8';

const [changes, uses, repeatAfterNs] = process.argv.slice(2) as [string, string, string];
const bus = openSqliteBus({ path: join(process.env.BINTRAIL_HOME!, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
const probe = await startProbe({
  ...{ bpfObjectPath: BPF_OBJECT, lsmObjectPath: LSM_OBJECT, hooks: 'auto', node: 'bench', boot: readBootId() },
  ...{ censusObjectPath: CENSUS_OBJECT, censusFolder: process.env.BINTRAIL_CENSUS!, maxFileBytes: 1024 ** 3 },
  ...{ userName: () => undefined, redact: redactArguments, log: createLog({ level: 'warn', name: 'probe' }) },
  repeatFilter: { changes: Number(changes), uses: Number(uses), repeatAfterNs: BigInt(repeatAfterNs) },
  publish: (messages) => bus.publish(TOPICS.events, messages),
});
process.on('disconnect', async () => {
  await probe.close();
  await bus.close();
});
process.send!({ kind: 'ready' });
