/** The ClickHouse connection, over HTTP: the same for a server and for the embedded engine. */
import { randomUUID } from 'node:crypto';
import { addAbortSignal, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { ClickHouseLogLevel, type ClickHouseSettings, createClient } from '@clickhouse/client';
import { SetupError, Transient } from './errors.ts';

export type StoreOptions = {
  /** Scheme, host and port only. */
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly database: string;
  /** Bounds a request as a whole, answer included. Default 60,000: a plan's largest block on a busy server. */
  readonly timeoutMs?: number;
  /** Name of the cluster whose servers all answer; its tables are those of `cluster-schema.ts`. */
  readonly cluster?: string;
};

export type Parameter = string | number | bigint | boolean | null | Date | readonly Parameter[];

export type Store = {
  /**
   * Rows as objects by column name. UInt64 and Int64 come as strings, times are in UTC. Values go only through
   * `{name:Type}` in `sql`: up to 128 KiB each (http_max_field_value_size; 1,900 digests in hex), and 1 MiB all of them,
   * percent-encoded (http_max_uri_size).
   */
  query<Row>(sql: string, parameters?: Readonly<Record<string, Parameter>>): Promise<Row[]>;
  /**
   * Stores one Native block, at most 100 thousand rows and 64 MiB, as one block: the token marks it, for the table and
   * its views, and the same token with the same body changes nothing more.
   */
  insertNative(table: string, body: Uint8Array, token: string): Promise<void>;
  /** For few rows. Without a token a repeated call stores them again. */
  insertRows(table: string, rows: readonly object[], token?: string): Promise<void>;
  /** A statement without an answer: DDL, mostly. */
  command(sql: string): Promise<void>;
  /** Resolves when the server answers and knows us and our database. */
  ping(): Promise<void>;
  close(): Promise<void>;
};

/** ClickHouse refuses for good, with the number of ErrorCodes.cpp; 0 where something before it answered instead. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: number;
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

// TIMEOUT_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES, SOCKET_TIMEOUT, NETWORK_ERROR, MEMORY_LIMIT_EXCEEDED,
// TABLE_IS_READ_ONLY, TOO_MANY_PARTS, TOO_FEW_LIVE_REPLICAS, UNKNOWN_STATUS_OF_INSERT, SYSTEM_ERROR, KEEPER_EXCEPTION
const RETRIABLE_CODES = new Set([159, 202, 209, 210, 241, 242, 252, 285, 319, 425, 999]);

// Of an answer without a code of ClickHouse's: it came from a proxy, or from an overloaded server's front.
const RETRIABLE_STATUSES = new Set([200, 408, 429, 500, 502, 503, 504]);

const COMMON: ClickHouseSettings = {
  // An error always comes as the status and the code of the whole answer, never in the middle of rows.
  wait_end_of_query: 1,
  session_timezone: 'UTC',
};

const QUERY: ClickHouseSettings = {
  ...COMMON,
  output_format_json_quote_64bit_integers: 1,
  output_format_json_array_of_rows: 1,
};

// A token counts per block, so what is sent, and what each view makes of it, must stay one block: gathered up to more
// rows than a view makes of a plan, never cut by bytes. Without gathering a grouping view made 256 (measured).
const ONE_BLOCK = '16777216';
const INSERT: ClickHouseSettings = {
  ...COMMON,
  async_insert: 0,
  insert_deduplicate: 1,
  deduplicate_blocks_in_dependent_materialized_views: 1,
  max_insert_block_size: ONE_BLOCK,
  min_insert_block_size_rows: ONE_BLOCK,
  min_insert_block_size_bytes: '0',
  min_insert_block_size_rows_for_materialized_views: ONE_BLOCK,
  min_insert_block_size_bytes_for_materialized_views: '0',
  max_insert_threads: '1',
  date_time_input_format: 'best_effort',
  input_format_skip_unknown_fields: 0,
};

// An insert is done when every shard has its part, on most of its replicas, and a question asked next sees it: the api
// judges from what it has just written. What a subquery finds is asked of the whole cluster once and sent along.
const CLUSTER_INSERT: ClickHouseSettings = {
  distributed_foreground_insert: 1,
  insert_quorum: 'auto',
  insert_quorum_parallel: 0,
};
const CLUSTER_QUERY: ClickHouseSettings = {
  select_sequential_consistency: '1',
  distributed_product_mode: 'global',
  prefer_global_in_and_join: 1,
};

const PLAIN_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Opens no connection yet. Every verb throws `Transient` when trying again may help (the network, a timeout, a busy
 * server), its cause kept, and `StoreError` otherwise.
 */
export function openStore(options: StoreOptions): Store {
  const { url, username, password, database, timeoutMs = 60_000 } = options;
  const querySettings = options.cluster !== undefined ? { ...QUERY, ...CLUSTER_QUERY } : QUERY;
  const insertSettings = options.cluster !== undefined ? { ...INSERT, ...CLUSTER_INSERT } : INSERT;
  const client = createClient({
    url,
    username,
    password,
    database,
    // The signal below is the deadline; the client's own, of a silent socket, must not come before it.
    request_timeout: timeoutMs * 2,
    // Its warnings would print requests; every failure reaches the caller as an error anyhow.
    log: { level: ClickHouseLogLevel.OFF },
    keep_alive: { eagerly_destroy_stale_sockets: true },
  });

  const request = async (
    query: string,
    clickhouse_settings: ClickHouseSettings,
    extra: { query_params?: Record<string, unknown>; values?: Readable } = {},
  ): Promise<string> => {
    const abort_signal = AbortSignal.timeout(timeoutMs);
    const params = { query, clickhouse_settings, abort_signal, ignore_error_response: true, ...extra };
    let answer: Answer;
    try {
      const { http_status_code, response_headers, stream } = await client.exec(params);
      addAbortSignal(abort_signal, stream);
      answer = { status: http_status_code ?? 0, headers: response_headers, body: await text(stream) };
    } catch (cause) {
      throw new Transient(`ClickHouse at ${url} ${abort_signal.aborted ? 'took too long' : 'did not answer'}`, {
        cause,
      });
    }
    return accepted(answer);
  };

  const insert = (table: string, format: string, body: Uint8Array, token: string): Promise<string> => {
    const values = Readable.from([body], { objectMode: false });
    const settings = { ...insertSettings, insert_deduplication_token: token };
    return request(`INSERT INTO ${identifier(table)} FORMAT ${format}`, settings, { values });
  };

  return {
    async query<Row>(sql: string, parameters: Readonly<Record<string, Parameter>> = {}) {
      const body = await request(`${sql}\nFORMAT JSONEachRow`, querySettings, { query_params: { ...parameters } });
      return JSON.parse(body) as Row[];
    },
    async insertNative(table, body, token) {
      await insert(table, 'Native', body, token);
    },
    async insertRows(table, rows, token = randomUUID()) {
      if (rows.length === 0) return;
      const lines = rows.map((row) => JSON.stringify(row, bigintAsText));
      await insert(table, 'JSONEachRow', Buffer.from(lines.join('\n')), token);
    },
    async command(sql) {
      await request(sql, COMMON);
    },
    async ping() {
      await request('SELECT 1', COMMON);
    },
    close: () => client.close(),
  };
}

type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
};

function accepted({ status, headers, body }: Answer): string {
  const header = headers['x-clickhouse-exception-code'];
  // The id tells ClickHouse's answer from that of something in between which is glad about everything.
  if (status === 200 && header === undefined && headers['x-clickhouse-query-id'] !== undefined) return body;
  const code = Number(header ?? 0);
  // What something else says may repeat our URL, and with it the values in it.
  const message =
    code === 0 ? `HTTP ${status} without ClickHouse's code: wrong address, user or password?` : body.trim();
  const retriable = code === 0 ? RETRIABLE_STATUSES.has(status) : RETRIABLE_CODES.has(code);
  if (!retriable) throw new StoreError(message, code);
  // A date instead of seconds reads as no wish.
  const retryAfterMs = (Number(headers['retry-after']) || 0) * 1000;
  throw new Transient(message, { cause: new StoreError(message, code), retryAfterMs });
}

function identifier(name: string): string {
  if (!PLAIN_NAME.test(name)) throw new Error(`not the name of a table: ${JSON.stringify(name)}`);
  return name;
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

/**
 * `http(s)://user:password@host:port/database?cluster=name` as options; user `default` and database `bintrail` where it
 * names none, a single server without `cluster`.
 * Throws SetupError, which like all that is logged never holds the password.
 */
export function parseClickHouseUrl(value: string): StoreOptions {
  const url = URL.parse(value.trim());
  if (url === null) throw wrongUrl('is not a URL');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw wrongUrl('is neither http nor https');
  const { cluster, ...unknown } = Object.fromEntries(url.searchParams);
  if (Object.keys(unknown).length > 0 || url.hash !== '') throw wrongUrl('has more than ?cluster= behind its database');
  if (cluster !== undefined && !PLAIN_NAME.test(cluster))
    throw wrongUrl('names a cluster with other than letters, digits and _');
  const username = decoded(url.username, 'user') || 'default';
  const password = decoded(url.password, 'password');
  const database = decoded(url.pathname.replaceAll(/^\/|\/$/g, ''), 'database') || 'bintrail';
  if (!PLAIN_NAME.test(database)) throw wrongUrl('names a database with other than letters, digits and _');
  return { url: url.origin, username, password, database, ...(cluster !== undefined && { cluster }) };
}

function decoded(part: string, name: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw wrongUrl(`has a stray % in its ${name}: write it as %25`);
  }
}

function wrongUrl(what: string): SetupError {
  return new SetupError(`CLICKHOUSE_URL ${what}`, 'write it as http://user:password@host:8123/database, or https');
}
