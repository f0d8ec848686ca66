/** Writes bpf/gen/events.h: the structs the BPF programs fill, with every offset asserted by the C compiler. */
import { NUMBER_FORMATS, type NumberKind } from '../column.ts';
import { FILE_ACTIONS } from '../file-actions.ts';
import { FLAGS } from '../flags.ts';
import { KERNEL_RECORDS } from '../kernel-records.ts';
import { FILE_LAYOUT, RECORD_HEADER_BYTES, type RecordDefinition, type RecordLayout, recordLayout } from '../layout.ts';

const C_TYPES: Record<NumberKind, string> = {
  u8: '__u8',
  u16: '__u16',
  u32: '__u32',
  u64: '__u64',
  i32: '__s32',
  time: '__u64',
};

/** The whole header. */
export function cHeader(): string {
  return [
    '/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */',
    '/* Generated from schemas/src by `npm run generate`; a test fails when it is stale. */',
    '#pragma once',
    '',
    ...FLAGS.map((flag, position) => `#define BT_FLAG_${flag.toUpperCase()} (1u << ${position})`),
    '',
    ...FILE_ACTIONS.map((action, position) => `#define BT_ACTION_${action.toUpperCase()} ${position}u`),
    '',
    ...KERNEL_RECORDS.map((event) => `#define BT_${event.name.toUpperCase()} ${event.id}u`),
    '',
    'struct bt_record {',
    '\t__u32 type;',
    '\t__u32 cpu;',
    '\t__u64 seq;',
    '\t__u64 boot_ns;',
    '};',
    `_Static_assert(sizeof(struct bt_record) == ${RECORD_HEADER_BYTES}, "bt_record");`,
    '',
    ...fileStruct(),
    ...KERNEL_RECORDS.flatMap(recordStruct),
  ].join('\n');
}

function fileStruct(): string[] {
  const members = FILE_LAYOUT.numbers.map(({ name, kind }) => `\t${C_TYPES[kind]} ${name};`);
  const asserts = FILE_LAYOUT.numbers.map(({ name, offset }) => offsetAssert('bt_file', name, offset));
  return ['struct bt_file {', ...members, '};', sizeAssert('bt_file', FILE_LAYOUT.sizeBytes), ...asserts, ''];
}

function recordStruct(event: RecordDefinition): string[] {
  const layout = recordLayout(event);
  const name = structName(event);
  const inFile = new Set(FILE_LAYOUT.numbers.map((slot) => slot.name));
  const members: string[] = ['\tstruct bt_record record;'];
  for (const slot of layout.numbers) {
    if (!inFile.has(slot.name)) members.push(`\t${C_TYPES[slot.kind]} ${slot.name};`);
    else if (slot.name === FILE_LAYOUT.numbers[0]!.name) members.push('\tstruct bt_file file;');
  }
  for (const slot of layout.texts) members.push(`\t__u16 ${slot.name}_len;`);
  const padding = layout.sizeBytes - endOf(layout);
  if (padding > 0) members.push(`\t__u8 reserved[${padding}];`);
  const asserts = layout.numbers.map((slot) =>
    offsetAssert(name, inFile.has(slot.name) ? `file.${slot.name}` : slot.name, slot.offset),
  );
  for (const slot of layout.texts) asserts.push(offsetAssert(name, `${slot.name}_len`, slot.offset));
  return [`struct ${name} {`, ...members, '};', sizeAssert(name, layout.sizeBytes), ...asserts, ''];
}

/** `bt_file` is the identity of a file, in whatever event. */
function structName({ name }: RecordDefinition): string {
  return name === 'file' ? 'bt_file_event' : `bt_${name}`;
}

function endOf(layout: RecordLayout): number {
  const ends = layout.numbers.map((slot) => slot.offset + NUMBER_FORMATS[slot.kind].sizeBytes);
  return Math.max(...ends, ...layout.texts.map((slot) => slot.offset + 2));
}

function sizeAssert(struct: string, sizeBytes: number): string {
  return `_Static_assert(sizeof(struct ${struct}) == ${sizeBytes}, "${struct}");`;
}

function offsetAssert(struct: string, member: string, offset: number): string {
  return `_Static_assert(__builtin_offsetof(struct ${struct}, ${member}) == ${offset}, "${struct}.${member}");`;
}
