/**
 * What Slack checks in the body of an incoming webhook, for the kinds of block we know how to check
 * (docs.slack.dev/reference/block-kit). Others count as invalid: whoever sends them has to add them here first.
 */

const MAX_BLOCKS = 50;
const MAX_TEXT = 3000;
const MAX_HEADER = 150;
const MAX_FIELDS = 10;
const MAX_FIELD = 2000;
const MAX_ELEMENTS = 10;
/** Not documented: texts of all blocks together, from reports (slackapi/bolt-js issues 2509 and 2867). */
const MAX_ALL_TEXTS = 11_000;

export type Payload = { readonly text?: string; readonly blocks?: readonly Block[] };
export type Block = { readonly type: string; readonly [key: string]: unknown };

/** The payload, or the word Slack would answer with status 400. */
export function readPayload(body: string): Payload | { readonly error: string } {
  const payload = parse(body);
  if (!isObject(payload)) return { error: 'invalid_payload' };
  const { text, blocks } = payload;
  if (text !== undefined && typeof text !== 'string') return { error: 'invalid_payload' };
  if (blocks === undefined) return text ? { text } : { error: 'no_text' };
  if (!Array.isArray(blocks)) return { error: 'invalid_blocks_format' };
  if (blocks.length === 0 && !text) return { error: 'no_text' };
  if (blocks.length > MAX_BLOCKS || !blocks.every(isBlock)) return { error: 'invalid_blocks' };
  const total = textsOf(blocks).reduce((sum, each) => sum + each.length, 0);
  if (total > MAX_ALL_TEXTS) return { error: 'msg_blocks_too_long' };
  return text === undefined ? { blocks } : { text, blocks };
}

/** Every text in the blocks, in the order of reading. */
export function textsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(textsOf);
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === 'text' && typeof inner === 'string' ? [inner] : textsOf(inner),
  );
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isBlock(block: unknown): block is Block {
  if (!isObject(block)) return false;
  switch (block.type) {
    case 'divider':
      return hasOnly(block, []);
    case 'header':
      return hasOnly(block, ['text']) && isText(block.text, MAX_HEADER) && isPlain(block.text);
    case 'section':
      return hasOnly(block, ['text', 'fields']) && isSection(block);
    case 'context':
      return hasOnly(block, ['elements']) && isListOf(block.elements, MAX_ELEMENTS, MAX_TEXT);
    default:
      return false;
  }
}

function isSection({ text, fields }: Record<string, unknown>): boolean {
  if (text === undefined && fields === undefined) return false;
  if (text !== undefined && !isText(text, MAX_TEXT)) return false;
  return fields === undefined || isListOf(fields, MAX_FIELDS, MAX_FIELD);
}

function isListOf(value: unknown, maxItems: number, maxChars: number): boolean {
  return (
    Array.isArray(value) &&
    value.length >= 1 &&
    value.length <= maxItems &&
    value.every((text) => isText(text, maxChars))
  );
}

function isText(value: unknown, maxChars: number): boolean {
  if (!isObject(value) || typeof value.text !== 'string') return false;
  if (value.text.length < 1 || value.text.length > maxChars) return false;
  if (value.type === 'plain_text') return hasOnly(value, ['text', 'emoji']);
  return value.type === 'mrkdwn' && hasOnly(value, ['text', 'verbatim']);
}

function isPlain(value: unknown): boolean {
  return isObject(value) && value.type === 'plain_text';
}

function hasOnly(value: Record<string, unknown>, keys: readonly string[]): boolean {
  return Object.keys(value).every((key) => key === 'type' || key === 'block_id' || keys.includes(key));
}
