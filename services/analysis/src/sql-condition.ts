/** Small pieces of ClickHouse conditions with bound parameters. `1` and `0` are the constants, and fold away. */

export const TRUE = '1';
export const FALSE = '0';

export function all(conditions: readonly string[]): string {
  if (conditions.includes(FALSE)) return FALSE;
  const rest = conditions.filter((condition) => condition !== TRUE);
  return rest.length === 0 ? TRUE : rest.length === 1 ? rest[0]! : `(${rest.join(' AND ')})`;
}

export function any(conditions: readonly string[]): string {
  if (conditions.includes(TRUE)) return TRUE;
  const rest = conditions.filter((condition) => condition !== FALSE);
  return rest.length === 0 ? FALSE : rest.length === 1 ? rest[0]! : `(${rest.join(' OR ')})`;
}

export function not(condition: string): string {
  if (condition === TRUE) return FALSE;
  return condition === FALSE ? TRUE : `NOT (${condition})`;
}

export type Params = Record<string, string | readonly string[]>;

/**
 * Room for parameters. They travel in the URL, of which ClickHouse reads 1 MiB (http_max_uri_size) and about 1,000
 * fields, settings included (measured). Half of each is left to the caller.
 */
export type Draft = { readonly params: Params; readonly prefix: string; termsLeft: number; bytesLeft: number };

export const MAX_TERMS = 500;
export const MAX_PARAM_BYTES = 512 * 1024;

export function openDraft(prefix: string): Draft {
  return { params: {}, prefix, termsLeft: MAX_TERMS, bytesLeft: MAX_PARAM_BYTES };
}

/** Binds a value and returns its placeholder; undefined when there is no room for it. */
export function bind(
  draft: Draft,
  type: 'String' | 'Array(String)',
  value: string | readonly string[],
): string | undefined {
  const texts = typeof value === 'string' ? [value] : value;
  // An array travels as ['…','…']: six characters of quoting a text once the URL has encoded them, and the comma.
  const sizeBytes = texts.reduce((sum, text) => sum + encodeURIComponent(text).length + 9, 0);
  if (draft.termsLeft < 1 || draft.bytesLeft < sizeBytes) return undefined;
  draft.termsLeft -= 1;
  draft.bytesLeft -= sizeBytes;
  const name = `${draft.prefix}${Object.keys(draft.params).length}`;
  draft.params[name] = value;
  return `{${name}:${type}}`;
}
