/** What was told on Slack about a program: how often, and how often without saying that it may be a repeat. */
import type { Received } from '../slack-receiver.ts';

const SINGLE_MARK = '[may be a repeat]';
const LINE_MARK = 'may be a repeat';

export type Told = { readonly times: number; readonly unmarked: number };

export function toldAbout(messages: readonly Received[], sha256: string): Told {
  const marks = messages.flatMap((message) => {
    if (message.text?.includes(sha256)) return [message.text.startsWith(SINGLE_MARK)];
    const line = linesOf(message.blocks).find((text) => text.includes(sha256));
    return line === undefined ? [] : [line.includes(LINE_MARK)];
  });
  return { times: marks.length, unmarked: marks.filter((marked) => !marked).length };
}

function linesOf(value: unknown): string[] {
  if (typeof value === 'string') return value.split('\n');
  return value !== null && typeof value === 'object' ? Object.values(value).flatMap(linesOf) : [];
}
