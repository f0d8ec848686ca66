/**
 * Bits of the `flags` column, by position. The first seven are part of the API contract; the position of a bit is
 * part of the wire format, so new ones are only appended.
 */
export const FLAGS = [
  'memfd',
  'unlinked',
  'upper_layer',
  'setuid',
  'truncated_argv',
  'redacted_argv',
  'snapshot',
  'setgid',
  'truncated_path',
  'unreadable_argv',
  'script',
  'overlay',
  'fine_ctime',
  'dropped',
  'in_use',
  'by_installer',
  'runtime_setup',
] as const;

export type Flag = (typeof FLAGS)[number];

/** The bit of one flag. */
export function flagBit(flag: Flag): number {
  return 1 << FLAGS.indexOf(flag);
}

/** These bits and one more, as the unsigned number that a column takes. */
export function withFlag(bits: number, bit: number): number {
  return (bits | bit) >>> 0;
}

/** Read by the rules of evidence only: set on nearly every row, and nothing an analyst asks for. */
const INTERNAL: readonly Flag[] = ['fine_ctime'];

/** The flags that are shown to people. */
export const SHOWN_FLAGS: readonly Flag[] = FLAGS.filter((flag) => !INTERNAL.includes(flag));

/** The names of the shown bits that are set, in the order of their positions. */
export function flagNames(bits: number): Flag[] {
  return SHOWN_FLAGS.filter((flag) => bits & flagBit(flag));
}
