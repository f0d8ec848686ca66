/** Writes schemas/bintrail.cddl: the wire format for anyone who wants to read the topics (RFC 8610). */
import { EVENTS, SCHEMA_VERSION } from '../events.ts';
import type { EventDefinition, Kind } from '../field.ts';

const RULES: Record<Kind, string> = {
  u8: 'u8-column',
  u16: 'u16-column',
  u32: 'u32-column',
  u64: 'u64-column',
  i32: 'i32-column',
  time: 'u64-column',
  text: 'text-column',
  bytes: 'text-column',
  digest: 'digest-column',
};

const PRELUDE = `; Messages of the topic bintrail.events: one event type, one column per field.
; Generated from schemas/src by \`npm run generate\`; a test fails when it is stale.
;
; The header keys come first and in this order. A column whose values are all zero or empty is left out; one whose
; values are all equal is that single value. Typed arrays are little-endian (RFC 8746) and hold exactly \`rows\` elements;
; a digest column holds 32 bytes a row, all zero for none. Times are nanoseconds since the Unix epoch.
; Only definite lengths, no other tags, no floats, no duplicate keys.

u8-column = uint / bytes
u16-column = uint / #6.69(bytes)
u32-column = uint / #6.70(bytes)
u64-column = uint / #6.71(bytes)
i32-column = int / #6.78(bytes)
digest-column = bytes
; codes are the narrowest array that holds the largest code: bytes, tag 69 or tag 70
text-column = bytes / { "dict" => [+ bytes], "codes" => bytes / #6.69(bytes) / #6.70(bytes) }
`;

/** The whole document. */
export function cddl(): string {
  const events: EventDefinition[] = Object.values(EVENTS);
  const message = `message = ${events.map((event) => event.name).join(' / ')}\n`;
  return [message, PRELUDE, ...events.map(eventRule)].join('\n');
}

function eventRule(event: EventDefinition): string {
  const columns = event.fields.map(({ name, kind, doc }) => `  ? "${name}" => ${RULES[kind]}, ; ${doc}`);
  return [
    `; ${event.doc}`,
    `${event.name} = {`,
    `  "v" => ${SCHEMA_VERSION}, "type" => "${event.name}", "node" => text, "boot" => text,`,
    '  "probe_epoch" => uint, "batch_seq" => uint, "rows" => 1..65536,',
    ...columns,
    '}',
    '',
  ].join('\n');
}
