/** Writes schemas/bintrail.cddl: the wire format for anyone who wants to read the topics (RFC 8610). */
import { columnKey, HEADER_NAMES } from '../column-keys.ts';
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
; Generated from schemas/src by \`npm run generate\`; a test fails when it is stale. Version 1, whose keys were names, is
; bintrail-v1.cddl; messages of it are still read.
;
; The header keys come first and in this order. A column whose values are all zero or empty is left out; one whose
; values are all equal is that single value. Other numbers are a smallest one, and what each row's is above it; or, of up
; to 256 different numbers, what each of those is above it, and for each row which of them it has, counted from 0. Typed
; arrays are little-endian (RFC 8746) and as wide as the number or narrower; one as wide as an unsigned number stands above
; 0. What is there for each row has exactly \`rows\` elements. Digests are 32 bytes a row, all zero for none. Times are
; nanoseconds since the Unix epoch. Only definite lengths, no other tags, no floats, no duplicate keys.

offsets8 = bytes
offsets16 = offsets8 / #6.69(bytes)
offsets32 = offsets16 / #6.70(bytes)
u8-column = uint / [uint, offsets8, ? which]
u16-column = uint / [uint, offsets16, ? which]
u32-column = uint / [uint, offsets32, ? which]
u64-column = uint / [uint, offsets32, ? which] / [0, #6.71(bytes), ? which]
i32-column = int / [int, offsets32, ? which]
which = bytes
digest-column = bytes
; distinct texts, and for each row the position of its text, in the narrowest array that holds the largest position
text-column = bytes / [[+ bytes], bytes / #6.69(bytes) / #6.70(bytes)]
; a UUID as its 16 bytes
boot = text / bytes .size 16
`;

/** The whole document. */
export function cddl(): string {
  const events: EventDefinition[] = Object.values(EVENTS);
  const message = `message = ${events.map((event) => event.name).join(' / ')}\n`;
  return [message, PRELUDE, ...events.map(eventRule)].join('\n');
}

const key = (name: (typeof HEADER_NAMES)[number]) => HEADER_NAMES.indexOf(name);

function eventRule(event: EventDefinition): string {
  const columns = event.fields.map(
    ({ name, kind, doc }) => `  ? ${columnKey(name)} => ${RULES[kind]}, ; ${name}: ${doc}`,
  );
  return [
    `; ${event.doc}`,
    `${event.name} = {`,
    `  ${key('v')} => ${SCHEMA_VERSION}, ; version`,
    `  ${key('type')} => "${event.name}",`,
    `  ${key('node')} => text, ; name of the host`,
    `  ${key('boot')} => boot, ; boot_id of its kernel`,
    `  ${key('probe_epoch')} => uint, ; start of the probe, milliseconds since the Unix epoch`,
    `  ${key('batch_seq')} => uint, ; counts the messages of one run of the probe from 0`,
    `  ${key('rows')} => 1..65536,`,
    ...columns,
    '}',
    '',
  ].join('\n');
}
