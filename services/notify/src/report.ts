/** Logs and metrics of what notify does. No webhook URL, answer text or message text gets here. */
import type { Log } from '@bintrail/runtime/log.ts';
import type { Metrics } from '@bintrail/runtime/metrics.ts';
import { timestamp } from './delivery.ts';
import type { SenderEvent } from './sender.ts';

export type LastPost = {
  readonly at: string;
  readonly result: 'sent' | 'refused' | 'unknown' | 'rejected';
  readonly code: string | null;
  /** What somebody has to do, where that is needed. */
  readonly remedy: string | null;
};

export type Report = {
  readonly sender: (event: SenderEvent) => void;
  unreadable(topic: string, key: string): void;
  waiting(groups: number): void;
  lastPost(): LastPost | null;
};

type Posted = Extract<SenderEvent, { kind: 'posted' }>;

export function createReport(log: Log, metrics: Metrics, clock: () => number): Report {
  const posts = metrics.counter('notify_posts_total', 'Posts to Slack by what became of them.', ['result', 'code']);
  const told = metrics.counter('notify_groups_sent_total', 'Finding groups that Slack took.');
  const withdrawn = metrics.counter('notify_groups_withdrawn_total', 'Finding groups settled before they were posted.');
  const bad = metrics.counter('notify_unreadable_total', 'Records that could not be read.', ['topic']);
  const waiting = metrics.gauge('notify_groups_waiting', 'Finding groups still to be posted.');
  const rejected = metrics.gauge('notify_webhook_rejected', '1 while Slack rejects every post until somebody acts.');
  let last: LastPost | null = null;
  return {
    sender(event) {
      if (event.kind === 'withdrawn') withdrawn.inc(event.groups);
      else if (event.kind === 'bus-down') log.warn({ err: event.cause }, 'cannot record a delivery, trying again');
      else {
        const { result, groups } = event;
        const code = result.kind === 'sent' ? null : result.code;
        last = { at: timestamp(clock()), result: result.kind, code, remedy: remedyOf(event) };
        posts.inc({ result: result.kind, code: code ?? 'ok' });
        if (result.kind === 'sent') told.inc(groups);
        rejected.set(result.kind === 'rejected' && result.scope === 'webhook' ? 1 : 0);
        logPost(log, event);
      }
    },
    unreadable(topic, key) {
      bad.inc({ topic });
      log.error({ topic, key }, 'a record could not be read and is left out');
    },
    waiting: (groups) => waiting.set(groups),
    lastPost: () => last,
  };
}

function remedyOf({ result }: Posted): string | null {
  return result.kind === 'rejected' ? result.remedy : null;
}

function logPost(log: Log, { deliveryId, groups, result, retry }: Posted): void {
  const facts = { delivery_id: deliveryId, groups };
  if (result.kind === 'sent') {
    log.info(facts, 'posted to Slack');
    return;
  }
  const failure = { ...facts, code: result.code, retry_in_ms: retry?.waitMs };
  if (result.kind === 'rejected') log.error({ ...failure, remedy: result.remedy }, 'Slack rejects the post');
  else if (result.kind === 'refused') log.warn(failure, 'Slack did not take the post');
  else log.warn(failure, 'the answer from Slack was lost; the next attempt says that it may be a repeat');
}
