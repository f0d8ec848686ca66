const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

// Beyond ASCII too: U+009B begins a terminal's commands, U+2028 a line, U+202E turns around what follows.
const FORGING = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

/**
 * Shows bytes as text: valid UTF-8 as it is, every other byte as `\xNN`, and so the characters that control a display (a
 * newline in a file name must not forge a log line). {@link parsePrintable} reads it back; a literal `\x41` in a name
 * reads back as `A`.
 */
export function printable(bytes: Uint8Array): string {
  let shown = '';
  let at = 0;
  while (at < bytes.length) {
    const byte = bytes[at]!;
    if (byte >= 0x20 && byte < 0x7f) {
      shown += String.fromCharCode(byte);
      at += 1;
      continue;
    }
    const length = sequenceLength(byte);
    const part = length > 0 ? decodePart(bytes.subarray(at, at + length)) : undefined;
    shown += part ?? `\\x${byte.toString(16).padStart(2, '0')}`;
    at += part === undefined ? 1 : length;
  }
  return shown;
}

/** The bytes a printable text stands for. */
export function parsePrintable(text: string): Uint8Array {
  const parts = text.split(/\\x([0-9a-f]{2})/);
  return Buffer.concat(parts.map((part, index) => Buffer.from(part, index % 2 === 1 ? 'hex' : 'utf8')));
}

function decodePart(bytes: Uint8Array): string | undefined {
  try {
    const part = utf8.decode(bytes);
    return FORGING.test(part) ? undefined : part;
  } catch {
    return undefined;
  }
}

/** Length of the UTF-8 sequence of several bytes that a byte starts, 0 for none (RFC 3629 §3). */
function sequenceLength(byte: number): number {
  if (byte >= 0xc2 && byte < 0xe0) return 2;
  if (byte >= 0xe0 && byte < 0xf0) return 3;
  return byte >= 0xf0 && byte < 0xf5 ? 4 : 0;
}
