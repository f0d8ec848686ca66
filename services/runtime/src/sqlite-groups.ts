import type { DatabaseSync } from 'node:sqlite';
import { SetupError } from './errors.ts';
import type { TopicLog } from './sqlite-log.ts';

/** The bounds of a handed-out batch, as they are kept until it is acknowledged. */
export type Bounds = { readonly from: number; readonly to: number; readonly atMs: number };

/** One subscription's hold on a group. Every function is one short synchronous SQLite call. */
export type Membership = {
  /** Whether no other subscription took the group over. */
  isCurrent(): boolean;
  /** The batch in hand, if any, and where the next one begins. */
  state(): { acked: number; plan: Bounds | undefined };
  /** Makes these the bounds of the batch in hand. */
  plan(bounds: Bounds): void;
  /** Marks the batch as done. */
  acknowledge(bounds: Bounds): void;
};

export type Groups = {
  /**
   * Makes `owner` the one subscription of the group; whoever held it before can no longer plan or acknowledge. A new
   * group begins at the oldest record the topic still has. Call inside a transaction.
   */
  join(topic: TopicLog, group: string, owner: string): Membership;
  /** Everything before it is done, or undefined when the topic has no such group. */
  acked(topic: TopicLog, group: string): number | undefined;
  /** The group that is furthest behind, or undefined when the topic has none. */
  slowest(topic: TopicLog): { name: string; acked: number } | undefined;
};

/**
 * How bounds are understood: `to` is one past the last offset, records between are never removed. A version that
 * understands them otherwise must refuse to replay these, because the replay would not be identical.
 */
const PLAN_RULE = 1;

export function openGroups(db: DatabaseSync): Groups {
  const upsert = db.prepare(
    `INSERT INTO groups (topic, name, owner, acked) VALUES (?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET owner = excluded.owner`,
  );
  const select = db.prepare('SELECT * FROM groups WHERE topic = ? AND name = ?');
  const slowest = db.prepare('SELECT name, acked FROM groups WHERE topic = ? ORDER BY acked LIMIT 1');
  const setPlan = db.prepare(
    `UPDATE groups SET plan_to = ?, plan_at_ms = ?, plan_rule = ${PLAN_RULE}
     WHERE topic = ? AND name = ? AND owner = ? AND acked = ? AND plan_to IS NULL`,
  );
  const acknowledge = db.prepare(
    `UPDATE groups SET acked = plan_to, plan_to = NULL, plan_at_ms = NULL, plan_rule = NULL
     WHERE topic = ? AND name = ? AND owner = ? AND acked = ? AND plan_to = ?`,
  );

  return {
    join(topic, group, owner) {
      upsert.run(topic.id, group, owner, topic.first(0)?.offset ?? topic.end());
      const takenOver = () =>
        new SetupError(
          `group ${group} of topic ${topic.name} was taken over by another subscription`,
          'run one consumer of a group at a time',
        );
      return {
        isCurrent: () => select.get(topic.id, group)?.owner === owner,
        state() {
          const row = select.get(topic.id, group);
          if (row?.owner !== owner) throw takenOver();
          const acked = row.acked as number;
          if (row.plan_to === null) return { acked, plan: undefined };
          if (row.plan_rule !== PLAN_RULE) {
            throw new SetupError(
              `group ${group} of topic ${topic.name} holds a batch planned by another version (${row.plan_rule})`,
              'let the version that planned it finish it, then upgrade',
            );
          }
          return { acked, plan: { from: acked, to: row.plan_to as number, atMs: row.plan_at_ms as number } };
        },
        plan({ from, to, atMs }) {
          if (setPlan.run(to, atMs, topic.id, group, owner, from).changes !== 1) throw takenOver();
        },
        acknowledge({ from, to }) {
          if (acknowledge.run(topic.id, group, owner, from, to).changes !== 1) throw takenOver();
        },
      };
    },
    acked: (topic, group) => select.get(topic.id, group)?.acked as number | undefined,
    slowest(topic) {
      const row = slowest.get(topic.id);
      return row === undefined ? undefined : { name: row.name as string, acked: row.acked as number };
    },
  };
}
