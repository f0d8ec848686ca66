/**
 * What a query is when it reaches ClickHouse: variables as Grafana replaces them (scenes, format-registry), macros as
 * grafana-clickhouse-datasource does (pkg/macros/macros.go). Knows what our queries use, and refuses the rest.
 */

export type Asked = {
  readonly fromMs: number;
  readonly toMs: number;
  /** The panel's interval: at least its own minimum. */
  readonly intervalMs: number;
  readonly variables: Readonly<Record<string, string>>;
};

const seconds = (ms: number) => Math.floor(ms / 1000);

export function expand(query: string, asked: Asked): string {
  const replaced = query.replaceAll(/\$\{(\w+)(?::(\w+))?\}/g, (reference, name: string, format?: string) => {
    const value = asked.variables[name];
    if (value === undefined || format !== 'percentencode') throw new Error(`no such variable or format: ${reference}`);
    return percentEncode(value);
  });
  return expandMacros(replaced, asked);
}

/** Grafana's encodeURIComponentStrict: what encodeURIComponent leaves of RFC 3986's reserved characters, too. */
function percentEncode(value: string): string {
  return encodeURIComponent(value).replaceAll(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function expandMacros(query: string, asked: Asked): string {
  const match = /\$__(\w+)/.exec(query);
  if (match === null) {
    if (query.includes('$')) throw new Error(`a stray $ in ${query}`);
    return query;
  }
  const [macro, name] = match as unknown as [string, string];
  const after = match.index + macro.length;
  const argument = query[after] === '(' ? enclosed(query, after) : undefined;
  const end = argument === undefined ? after : after + argument.length + 2;
  return query.slice(0, match.index) + expandMacros(expansion(name, argument, asked) + query.slice(end), asked);
}

function enclosed(query: string, open: number): string {
  let depth = 0;
  for (let at = open; at < query.length; at++) {
    if (query[at] === '(') depth += 1;
    if (query[at] === ')') depth -= 1;
    if (depth === 0) return query.slice(open + 1, at);
  }
  throw new Error(`a parenthesis is not closed in ${query}`);
}

function expansion(name: string, argument: string | undefined, { fromMs, toMs, intervalMs }: Asked): string {
  const from = `toDateTime(${seconds(fromMs)})`;
  const to = `toDateTime(${seconds(toMs)})`;
  const intervalS = Math.max(seconds(intervalMs), 1);
  if (argument === undefined) {
    if (name === 'fromTime') return from;
    if (name === 'toTime') return to;
    if (name === 'interval_s') return String(intervalS);
  } else {
    if (name === 'timeFilter') return `${argument} >= ${from} AND ${argument} <= ${to}`;
    if (name === 'timeFilter_ms') {
      const [fromMilli, toMilli] = [fromMs, toMs].map((ms) => `fromUnixTimestamp64Milli(${Math.floor(ms)})`);
      return `${argument} >= ${fromMilli} AND ${argument} <= ${toMilli}`;
    }
    if (name === 'timeInterval') return `toStartOfInterval(toDateTime(${argument}), INTERVAL ${intervalS} second)`;
  }
  throw new Error(`no such macro: $__${name}${argument === undefined ? '' : `(${argument})`}`);
}
