/** A text, or every text that starts with it: how scopes and paths are written in approvals (`nginx`, `k8s/shop/*`). */
export type Pattern = { readonly text: string; readonly isPrefix: boolean };

export function compilePattern(written: string): Pattern {
  const isPrefix = written.endsWith('*');
  return { text: isPrefix ? written.slice(0, -1) : written, isPrefix };
}

export function matchesPattern(pattern: Pattern, value: string): boolean {
  return pattern.isPrefix ? value.startsWith(pattern.text) : value === pattern.text;
}

/** How little a pattern covers: an exact text most, then the longer prefix; `*` alone is 0. */
export function narrowness(pattern: Pattern): number {
  return pattern.isPrefix ? pattern.text.length : Number.POSITIVE_INFINITY;
}
