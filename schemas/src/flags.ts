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
] as const;

export type Flag = (typeof FLAGS)[number];

/** The bit of one flag. */
export function flagBit(flag: Flag): number {
  return 1 << FLAGS.indexOf(flag);
}

/** The names of the bits that are set, in the order of their positions. */
export function flagNames(bits: number): Flag[] {
  return FLAGS.filter((_, position) => bits & (1 << position));
}
