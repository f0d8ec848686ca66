/** Arguments fit to leave the machine, worked out once for the same bytes. */
import { createTextTable, latin1, type Text, type TextTable } from '@bintrail/schemas/text-table.ts';

/** Takes secrets out of arguments. Words are latin1. */
export type Redact = (argv: readonly string[]) => { readonly argv: readonly string[]; readonly redacted: boolean };

export type FitArguments = { readonly argv: Text; readonly redacted: boolean };

export type ArgvRedactor = {
  /** As they came from the kernel. */
  readonly raw: TextTable;
  /** Of a text of `raw`; the result is one of the column's table. */
  readonly fit: (argv: Text) => FitArguments;
};

export function createArgvRedactor(redact: Redact, column: TextTable): ArgvRedactor {
  const fit = (argv: Text): FitArguments => {
    argv.memo ??= makeFit(redact, column, argv);
    return argv.memo as FitArguments;
  };
  return { raw: createTextTable(), fit };
}

function makeFit(redact: Redact, column: TextTable, raw: Text): FitArguments {
  const { argv, redacted } = redactJoined(redact, latin1(raw));
  return { argv: redacted ? column.internLatin1(argv) : column.own(raw), redacted };
}

/** Redaction works on words; on the wire they are joined by NUL bytes. */
export function redactJoined(redact: Redact, argv: string): { argv: string; redacted: boolean } {
  if (argv === '') return { argv, redacted: false };
  const ended = argv.endsWith('\0');
  const result = redact((ended ? argv.slice(0, -1) : argv).split('\0'));
  return { argv: result.argv.join('\0') + (ended ? '\0' : ''), redacted: result.redacted };
}
