/**
 * Untrusted text inside Slack's markup. Slack parses `&`, `<` and `>` everywhere (mentions, links) and backticks in
 * mrkdwn; control, bidirectional and invisible characters could make one file name look like another.
 * Source: docs.slack.dev/messaging/formatting-message-text.
 */

/** Control, format (bidirectional, zero width), surrogate, private, unassigned; all separators but the plain space. */
const INVISIBLE = /[[\p{C}\p{Z}]--[ ]]/gv;
/** A character that no markup escape may be cut in: `\xNN`, or one code point. */
const UNITS = /\\x[0-9a-f]{2}|[\s\S]/gu;
const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

/** Entities for the three characters Slack parses; of no effect on anything else. */
export function escapeMrkdwn(text: string): string {
  return text.replace(/[&<>]/g, (character) => ENTITIES[character]!);
}

/**
 * Text that is safe between backticks: what cannot be seen is shown as the `\xNN` of its UTF-8 bytes, as printable
 * texts have it; so are backticks, which cannot be escaped otherwise, and spaces at either end.
 */
export function visible(text: string): string {
  return showEdges(unitsOf(text)).join('');
}

/** The text in pieces that must not be cut. */
function unitsOf(text: string): string[] {
  return text.replace(INVISIBLE, bytesOf).replace(/`/g, bytesOf).match(UNITS) ?? [];
}

function bytesOf(text: string): string {
  return Buffer.from(text).toString('hex').replace(/../g, '\\x$&');
}

function showEdges(units: readonly string[]): string[] {
  const first = units.findIndex((unit) => unit !== ' ');
  const last = units.findLastIndex((unit) => unit !== ' ');
  return units.map((unit, at) => (at < first || at > last ? bytesOf(unit) : unit));
}

/**
 * Escaped, visible text of at most `maxChars` UTF-16 units. What does not fit is taken out of the middle and marked:
 * both the folder and the name of a path tell something. `maxChars` must be at least 50.
 */
export function clip(text: string, maxChars: number): string {
  // Every unit shows as at least what it is long, so only this much of either end can be needed; 8 keeps units whole.
  const edge = maxChars + 8;
  const omitted = Math.max(0, text.length - 2 * edge);
  const raw = omitted > 0 ? [text.slice(0, edge), text.slice(-edge)] : [text];
  const units = showEdges(raw.flatMap(unitsOf)).map(escapeMrkdwn);
  const total = units.reduce((sum, unit) => sum + unit.length, 0);
  if (total <= maxChars) return units.join('');
  const mark = (removed: number) => ` … [${removed} characters cut] … `;
  const room = maxChars - mark(omitted + units.length).length;
  const head = take(units, Math.floor((room * 2) / 3));
  const tail = take(units.toReversed(), room - Math.floor((room * 2) / 3)).reverse();
  return head.join('') + mark(omitted + units.length - head.length - tail.length) + tail.join('');
}

function take(units: readonly string[], maxChars: number): string[] {
  let used = 0;
  const end = units.findIndex((unit) => {
    used += unit.length;
    return used > maxChars;
  });
  return units.slice(0, end < 0 ? units.length : end);
}

/** An inline code span; an empty text is named as such, because an empty span is shown as two backticks. */
export function code(text: string, maxChars: number): string {
  return text === '' ? '_none_' : `\`${clip(text, maxChars - 2)}\``;
}

/** A code block of untrusted text. */
export function codeBlock(text: string, maxChars: number): string {
  return `\`\`\`\n${clip(text, maxChars - 8) || ' '}\n\`\`\``;
}

/** A code block of a command we wrote; it keeps its line breaks. Undefined when it is too long: half of one is no use. */
export function commandBlock(command: string, maxChars: number): string | undefined {
  const block = `\`\`\`\n${escapeMrkdwn(command)}\n\`\`\``;
  return block.length <= maxChars ? block : undefined;
}
