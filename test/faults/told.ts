/** What the api and Slack say of what was found. */
import assert from 'node:assert/strict';
import type { Delivery } from '@bintrail/notify/delivery.ts';
import type { StoredExec } from '../src/drills/in-the-store.ts';
import { toldAbout } from '../src/drills/told.ts';
import type { Received } from '../src/slack-receiver.ts';
import { type Complaints, fleetFindings } from './account.ts';
import type { System } from './system.ts';
import type { Taken } from './taken.ts';

type Found = {
  readonly id: string;
  readonly group_id: string;
  readonly sha256: string;
  readonly rule: string;
  readonly count: number;
};

/** Every item of a list, page by page. */
export async function allPages<T>({ call }: Pick<System, 'call'>, path: string, api?: string): Promise<T[]> {
  const items: T[] = [];
  for (let cursor = ''; ; ) {
    const { status, json, text } = await call('GET', `${path}?limit=1000${cursor}`, undefined, api);
    assert.equal(status, 200, text);
    items.push(...json.items);
    if (json.next_cursor === null) return items;
    cursor = `&cursor=${encodeURIComponent(json.next_cursor)}`;
  }
}

/** Each program of the driver that was seen with its digest, and each of the fleet, is one finding that counts its rows. */
export async function foundOnce(system: System, taken: Taken, stored: readonly StoredExec[]): Promise<Complaints> {
  const found = await allPages<Found>(system, '/v1/findings');
  const ids = new Set(found.map(({ id }) => id));
  const twice = found.length === ids.size ? [] : [`${found.length} findings under ${ids.size} ids`];
  const ofFleet = fleetFindings(taken).filter((id) => !ids.has(id));
  const rows = Map.groupBy(stored, ({ sha256 }) => sha256);
  rows.delete('');
  const bySha = Map.groupBy(found, ({ sha256 }) => sha256);
  const ofDriver = [...rows].flatMap(([sha256, own]) => {
    const counts = (bySha.get(sha256) ?? []).map(({ count }) => count);
    return counts.length === 1 && counts[0] === own.length ? [] : [`${sha256}: ${own.length} rows, found ${counts}`];
  });
  return [...twice, ...ofFleet.map((id) => `finding ${id} of the fleet is not there`), ...ofDriver];
}

/** Each alert was sent; again only where the outcome of a post before was lost, and then it says so. */
export function alertedOnce(taken: Taken, messages: readonly Received[]): Complaints {
  const groups = Map.groupBy(taken.deliveries, ({ group_id }) => group_id);
  return [...groups].flatMap(([group, records]) => wronglyTold(group, records, messages));
}

function wronglyTold(group: string, records: readonly Delivery[], messages: readonly Received[]): string[] {
  const last = records.at(-1)!;
  if (last.state === 'withdrawn') return [];
  if (last.state !== 'sent') return [`alert ${group} ends as ${last.state}`];
  const sha256 = records.flatMap((record) => ('findings' in record ? record.findings : []))[0]?.sha256 ?? '';
  // Groups without a digest share their words with others; what was posted of them is judged by notify's own drill.
  if (sha256 === '') return [];
  const { times, unmarked } = toldAbout(messages, sha256);
  if (times === 0) return [`alert ${group} of ${sha256} was never told`];
  if (unmarked > 1) return [`alert ${group} of ${sha256} was told ${unmarked} times without a mark`];
  return times - 1 <= lostPosts(records)
    ? []
    : [`alert ${group} was told ${times} times, ${lostPosts(records)} answers lost`];
}

/** Posts whose outcome is not known: planned and nothing more, or an answer that did not come. */
function lostPosts(records: readonly Delivery[]): number {
  const planned = new Set(records.flatMap((record) => (record.state === 'planned' ? [record.delivery_id] : [])));
  for (const record of records) {
    const known = record.state === 'sent' || (record.state === 'failed' && record.outcome !== 'unknown');
    if (known) planned.delete(record.delivery_id);
  }
  return planned.size;
}

/** Approvals that the api acknowledged are there, each once, whichever copy is asked. */
export async function kept(system: System, acknowledged: readonly string[]): Promise<Complaints> {
  const complaints = await Promise.all(system.apis.map((api) => keptBy(system, api, acknowledged)));
  return complaints.flat();
}

async function keptBy(system: System, api: string, acknowledged: readonly string[]): Promise<Complaints> {
  const approvals = await allPages<{ match: { sha256?: string[] } }>(system, '/v1/approvals', api);
  const found = approvals.flatMap(({ match }) => match.sha256 ?? []);
  const known = new Set(found);
  const lost = acknowledged.filter((sha256) => !known.has(sha256)).map((sha256) => `approval of ${sha256} is gone`);
  const twice = found.length - known.size;
  return [...lost, ...(twice > 0 ? [`${twice} approvals twice`] : [])].map((what) => `${api}: ${what}`);
}
