import { randomUUID } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import type { Message } from './bus.ts';
import { Transient } from './errors.ts';
import type { TopicLog } from './sqlite-log.ts';

/** A topic's pen: `isOurs` belongs into the transaction that writes by it. */
export type Pen = { isOurs(): boolean };

/** Who may write to which topic with a journal. The table is made with the first: what was made before has none. */
export function takePen(db: DatabaseSync, topic: TopicLog): Pen {
  db.exec('CREATE TABLE IF NOT EXISTS pens (topic INTEGER PRIMARY KEY, owner TEXT NOT NULL) STRICT');
  const owner = randomUUID();
  db.prepare('INSERT INTO pens VALUES (?, ?) ON CONFLICT DO UPDATE SET owner = excluded.owner').run(topic.id, owner);
  const select = db.prepare('SELECT owner FROM pens WHERE topic = ?');
  return { isOurs: () => select.get(topic.id)?.owner === owner };
}

/** The journal of a pen: `write` appends in one transaction once `check` has passed in it. */
export function createJournal(
  pen: Pen,
  name: string,
  write: (messages: readonly Message[], check: () => void) => Promise<void>,
) {
  let broken = false;
  const check = (): void => {
    if (broken || !pen.isOurs()) throw new Transient(`the pen of ${name} is no longer ours`);
  };
  return {
    async append(messages: readonly Message[]): Promise<void> {
      try {
        if (messages.length > 0) await write(messages, check);
      } catch (error) {
        broken = true;
        throw error;
      }
    },
    async close(): Promise<void> {
      broken = true;
    },
  };
}
