/** Pieces of SQL that many queries share. Macros ($__…) are those of grafana-clickhouse-datasource. */
import { STRONG } from '@bintrail/schemas/digest-words.ts';

/** What a variable holds while its "All" is chosen. */
export const ALL = '*';

export type VariableName = 'node' | 'workload' | 'sha256' | 'rule';

/** A variable's value, byte for byte: quoting formats leave backslashes alone, which systemd's escaped units hold. */
export function chosen(name: VariableName): string {
  return `decodeURLComponent('\${${name}:percentencode}')`;
}

/** True where the variable's "All" is chosen, or the column (of the same name) is what it says. */
export function matches(name: VariableName, column: string = name): string {
  return `(${chosen(name)} = '${ALL}' OR ${column} = ${chosen(name)})`;
}

/** Rows of the roll-ups by hour that reach into the dashboard's time. */
export const IN_HOURS = 'hour >= toStartOfHour($__fromTime) AND hour <= $__toTime';

export const HAS_DIGEST = "sha256 != toFixedString('', 32)";
export const DIGEST_HEX = 'lower(hex(sha256))';
export const IS_DIGEST = `sha256 = toFixedString(unhex(${chosen('sha256')}), 32)`;
export const STRONG_WORDS = STRONG.map((word) => `'${word}'`).join(', ');

/** A probe reports every few seconds; after this long without a word it counts as silent. */
export const SILENT_AFTER_S = 120;
