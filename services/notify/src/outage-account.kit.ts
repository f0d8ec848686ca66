/** Holds what the receiver saw against what notify wrote down; everything that does not fit is a complaint. */
import type { Attempt } from '@bintrail/test/slack-receiver.ts';
import type { Delivery } from './delivery.ts';
import { toldPaths } from './notify.kit.ts';
import type { Outage } from './outage.kit.ts';

const INTERVAL_MS = 1000;

/** One post by its records: planned always, an outcome unless a kill came between. */
type Post = {
  readonly deliveryId: string;
  readonly plannedMs: number;
  readonly groups: Set<string>;
  outcome?: 'sent' | 'refused' | 'unknown' | 'rejected';
  code?: string;
  attempt?: Attempt;
};

export type Account = { readonly complaints: readonly string[]; readonly figures: Readonly<Record<string, number>> };

export function judgeOutage({ published, attempts, records, kills }: Outage): Account {
  const posts = postsOf(records);
  const groupOf = new Map([...published].map(([group, path]) => [path, group]));
  const told = attempts.map(({ message }) =>
    (message === undefined ? [] : toldPaths(message)).map(({ path, marked }) => ({ group: groupOf.get(path), marked })),
  );
  const complaints = [
    ...pair(posts, attempts, told),
    ...posts.flatMap(misjudged),
    ...[...published].flatMap(([group, path]) =>
      wronglyTold(group, posts, attempts, told).map((why) => `${path} ${why}`),
    ),
    ...tooSoon(posts, attempts),
  ];
  const taken = attempts.filter((attempt) => attempt.taken).length;
  const ofKind = Map.groupBy(attempts, ({ outcome }) => outcome);
  const repeats = told.flat().filter(({ marked }) => marked).length;
  const unfinished = posts.filter(({ outcome }) => outcome === undefined).length;
  const late = posts.filter((post) => isLate(post)).length;
  const counts = { groups: published.size, posts: posts.length, attempts: attempts.length, taken, repeats };
  const kinds = Object.fromEntries([...ofKind].map(([kind, own]) => [kind, own.length]));
  return { complaints, figures: { ...counts, ...kinds, kills, unfinished, late } };
}

type Told = { readonly group: string | undefined; readonly marked: boolean };

function postsOf(records: readonly Delivery[]): Post[] {
  const posts = new Map<string, Post>();
  for (const record of records) {
    if (record.state === 'planned') {
      const { delivery_id: deliveryId, at } = record;
      const post = posts.get(deliveryId) ?? { deliveryId, plannedMs: Date.parse(at), groups: new Set<string>() };
      posts.set(deliveryId, post);
      post.groups.add(record.group_id);
    } else if (record.state === 'sent' || record.state === 'failed') {
      const post = posts.get(record.delivery_id)!;
      post.outcome = record.state === 'sent' ? 'sent' : record.outcome;
      if (record.state === 'failed') post.code = record.code;
    }
  }
  return [...posts.values()];
}

/** A request belongs to the last post that was planned before it arrived: they come a second apart. */
function pair(posts: readonly Post[], attempts: readonly Attempt[], told: readonly Told[][]): string[] {
  const complaints: string[] = [];
  for (const [n, attempt] of attempts.entries()) {
    const post = posts.findLast(({ plannedMs }) => plannedMs <= attempt.atMs);
    if (post === undefined || post.attempt !== undefined) {
      complaints.push(`request ${n} was made without being planned`);
      continue;
    }
    post.attempt = attempt;
    const groups = told[n]!.map(({ group }) => group);
    if (groups.length !== post.groups.size || !groups.every((group) => group !== undefined && post.groups.has(group))) {
      complaints.push(`request ${n} told of other groups than were planned`);
    }
  }
  return complaints;
}

/** The receiver answered, only too late for the sender: for it the answer is lost. */
function isLate({ code, attempt }: Post): boolean {
  return code === 'timeout' && attempt?.outcome !== 'hang';
}

/** What the sender made of an answer. */
function misjudged(post: Post): string[] {
  const { attempt, outcome, deliveryId, code } = post;
  if (outcome === undefined || isLate(post)) return [];
  if (attempt === undefined) return [`post ${deliveryId} has the outcome ${outcome} ${code} and never arrived`];
  const right = { ok: 'sent', 'rate-limited': 'refused', status: 'refused', refused: 'rejected' }[
    attempt.outcome as string
  ];
  return outcome === (right ?? 'unknown') ? [] : [`${attempt.outcome} was taken for ${outcome} ${code}`];
}

const isLost = ({ outcome }: Post) => outcome === undefined || outcome === 'unknown';

/** What is wrong with how often, and with which marks, a group was told. */
function wronglyTold(
  group: string,
  posts: readonly Post[],
  attempts: readonly Attempt[],
  told: readonly Told[][],
): string[] {
  const own = posts.filter(({ groups }) => groups.has(group));
  const complaints: string[] = [];
  if (!own.some(({ attempt }) => attempt?.taken)) complaints.push('was never told');
  for (const [n, post] of own.entries()) {
    const before = own.slice(0, n);
    if (before.some(({ outcome }) => outcome === 'sent')) complaints.push('was posted again after it was sent');
    if (post.attempt === undefined) continue;
    const marked = told[attempts.indexOf(post.attempt)]!.find((each) => each.group === group)?.marked;
    if (marked !== before.some(isLost)) complaints.push(`was ${marked ? '' : 'not '}marked in post ${n + 1}`);
    const repeated = post.attempt.taken ? before.filter(({ attempt }) => attempt?.taken) : [];
    if (repeated.some((earlier) => !isLost(earlier))) complaints.push('was repeated although the answer had come');
  }
  return complaints;
}

/** Posts closer than a second, or before the time that a 429 named: for that notify must have lived to write it down. */
function tooSoon(posts: readonly Post[], attempts: readonly Attempt[]): string[] {
  const answered = new Map(posts.map((post) => [post.attempt, post.outcome !== undefined]));
  return attempts.slice(1).flatMap((attempt, at) => {
    const previous = attempts[at]!;
    const asked = previous.fault?.kind === 'rate-limited' && answered.get(previous) ? previous.fault.retryAfter : 0;
    const leastMs = Math.max(INTERVAL_MS, Number(asked) * 1000);
    const gapMs = attempt.atMs - previous.atMs;
    return gapMs >= leastMs ? [] : [`request ${at + 1} came ${gapMs} ms after ${previous.outcome}, not ${leastMs}`];
  });
}
