const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Shows bytes as text: valid UTF-8 as it is, every other byte as `\xNN`, control characters too (a newline in a file
 * name must not forge a log line). {@link parsePrintable} reads it back; a literal `\x41` in a name reads back as `A`.
 */
export function printable(bytes: Uint8Array): string {
  let shown = '';
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    const part = length > 0 ? decodePart(bytes.subarray(at, at + length)) : undefined;
    shown += part ?? `\\x${bytes[at]!.toString(16).padStart(2, '0')}`;
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
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Length of the UTF-8 sequence a byte starts, 0 for none and for control characters (RFC 3629 §3). */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]!;
  if (byte < 0x20 || byte === 0x7f) return 0;
  if (byte < 0x80) return 1;
  if (byte >= 0xc2 && byte < 0xe0) return 2;
  if (byte >= 0xe0 && byte < 0xf0) return 3;
  return byte >= 0xf0 && byte < 0xf5 ? 4 : 0;
}
