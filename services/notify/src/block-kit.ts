/** The few Block Kit shapes we send, and Slack's limits on them (docs.slack.dev/reference/block-kit/blocks). */

export const LIMITS = {
  blocks: 50,
  headerChars: 150,
  sectionChars: 3000,
  fields: 10,
  fieldChars: 2000,
  /**
   * All blocks together, as JSON. Slack documents none, but refuses with `msg_blocks_too_long` from about 12,000
   * characters of text on, 11,341 in one report (slackapi/bolt-js issues 2509 and 2867).
   */
  messageChars: 9500,
  /** Of the fallback text; Slack recommends at most 4,000 (docs.slack.dev/changelog/2018-truncating-really-long-messages). */
  textChars: 3900,
} as const;

/** `verbatim`: bare URLs, channel names and mentions stay text. */
type Mrkdwn = { readonly type: 'mrkdwn'; readonly text: string; readonly verbatim: true };
type PlainText = { readonly type: 'plain_text'; readonly text: string; readonly emoji: false };

export type Block =
  | { readonly type: 'header'; readonly text: PlainText }
  | { readonly type: 'section'; readonly text: Mrkdwn }
  | { readonly type: 'section'; readonly fields: readonly Mrkdwn[] };

/** Body of a post to an incoming webhook; `text` is what notifications and screen readers show. */
export type SlackMessage = { readonly text: string; readonly blocks?: readonly Block[] };

const mrkdwn = (text: string): Mrkdwn => ({ type: 'mrkdwn', text, verbatim: true });

/** The text must be ours alone: it is not escaped. */
export function header(text: string): Block {
  return { type: 'header', text: { type: 'plain_text', text: text.slice(0, LIMITS.headerChars), emoji: false } };
}

export function section(text: string): Block {
  return { type: 'section', text: mrkdwn(text) };
}

export function fields(texts: readonly string[]): Block {
  return { type: 'section', fields: texts.map(mrkdwn) };
}

/** Characters a list of blocks takes of {@link LIMITS.messageChars}. */
export function sizeOf(blocks: readonly Block[]): number {
  return JSON.stringify(blocks).length;
}
