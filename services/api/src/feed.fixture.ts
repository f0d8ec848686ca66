/** For tests: brings events and the findings they lead to into the store, the way ingest and detect do. */
import { execRow, fileRow, loadRow, run } from '@bintrail/detect/events.kit.ts';
import { createDetectState } from '@bintrail/detect/stage.ts';
import { createStoreEvents } from '@bintrail/ingest/events-stage.ts';
import { storeFindings } from '@bintrail/ingest/findings-stage.ts';
import { planOf } from '@bintrail/ingest/store.fixture.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import type { EventDefinition, RowOf } from '@bintrail/schemas/field.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';

export type ExecFacts = Parameters<typeof execRow>[2];
type LoadFacts = Parameters<typeof loadRow>[1];
type Options = { node?: string; store?: 'both' | 'events' | 'findings' };

export type FileFacts = Parameters<typeof fileRow>[2];

export type Feed = {
  /** Stores these execs as one message of a node, and what detect finds in them; answers the findings. */
  exec(rows: readonly ExecFacts[], options?: Options): Promise<Finding[]>;
  /** The same of loads. */
  load(rows: readonly LoadFacts[], options?: Options): Promise<Finding[]>;
  /** The same of changes to code. */
  file(rows: readonly FileFacts[], options?: Options): Promise<Finding[]>;
};

export function createFeed(store: Store): Feed {
  const state = createDetectState();
  const storeEvents = createStoreEvents(store);
  let next = 0;
  let pid = 1000;
  const feed = async (
    definition: EventDefinition,
    rows: readonly RowOf<EventDefinition>[],
    { node = 'node-a', store: what = 'both' }: Options,
  ) => {
    const header = { node, boot: '11111111-2222-3333-4444-555555555555', probeEpoch: 1n, batchSeq: next };
    const message = encodeBatch(definition, header, rows);
    const plan = planOf([message], { from: next });
    next += 1;
    if (what !== 'findings') await storeEvents(plan);
    if (what === 'events') return [];
    const findings = run(state, [message]);
    const records = findings.map((finding) => Buffer.from(JSON.stringify(finding)));
    await storeFindings(store, planOf(records, { topic: 'bintrail.findings', from: next * 1000 }));
    return findings;
  };
  return {
    exec: (facts, options = {}) =>
      feed(
        EVENTS.exec,
        facts.map((part) => execRow(pid++, 1, part)),
        options,
      ),
    load: (facts, options = {}) =>
      feed(
        EVENTS.load,
        facts.map((part) => loadRow(pid++, part)),
        options,
      ),
    file: (facts, options = {}) =>
      feed(
        EVENTS.file,
        facts.map((part) => fileRow(pid++, 1, part)),
        options,
      ),
  };
}
