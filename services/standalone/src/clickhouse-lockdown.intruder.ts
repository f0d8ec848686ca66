/** Run by a test as root with a port and paths: becomes `nobody` and prints what of it all it could get at. */
import { readdirSync, readFileSync } from 'node:fs';

export type Loot = { readonly attempt: string; readonly got: string };

const basic = (credentials: string) => ({ Authorization: `Basic ${Buffer.from(credentials).toString('base64')}` });

const disguises: [string, Record<string, string>][] = [
  ['/?', {}],
  ['/?user=default&', {}],
  ['/?user=bintrail&password=&', {}],
  ['/?', { 'X-ClickHouse-User': 'default' }],
  ['/?', { 'X-ClickHouse-User': 'bintrail' }],
  ['/?', basic('default:')],
  ['/?', basic('bintrail:')],
  ['/?user=default&', basic('bintrail:')],
  ['/ping?', {}],
  ['//?', {}],
  ['/query?', {}],
  ['/play?', {}],
  ['/dashboard?', {}],
  ['/metrics?', {}],
];

const statements = [
  'SELECT 1',
  'SELECT * FROM bintrail.secrets',
  "SELECT * FROM file('/etc/passwd', 'LineAsString')",
  "SELECT file('/etc/passwd')",
  "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
  "SELECT * FROM remote('127.0.0.1', bintrail.secrets)",
  "SELECT * FROM executable('id', 'LineAsString', 'a String')",
  'SYSTEM STOP LISTEN HTTP',
];

async function requests(port: number): Promise<Loot[]> {
  const loot: Loot[] = [];
  for (const [path, headers] of disguises) {
    for (const statement of statements) {
      const url = `http://127.0.0.1:${port}${path}query=${encodeURIComponent(statement)}`;
      for (const method of ['GET', 'POST']) {
        const answer = await fetch(url, { method, headers });
        const body = await answer.text();
        const attempt = `${method} ${path} ${JSON.stringify(headers)} ${statement}`;
        if (answer.ok) loot.push({ attempt, got: body });
      }
    }
  }
  return loot;
}

function files(paths: readonly string[]): Loot[] {
  const loot: Loot[] = [];
  for (const path of paths) {
    for (const read of [() => readFileSync(path, 'utf8'), () => readdirSync(path).join()]) {
      try {
        loot.push({ attempt: path, got: read() });
      } catch {
        // As it should be.
      }
    }
  }
  return loot;
}

if (import.meta.main) {
  const [port, ...paths] = process.argv.slice(2);
  process.setgroups!([]);
  process.setgid!(65534);
  process.setuid!(65534);
  console.log(JSON.stringify([...(await requests(Number(port))), ...files(paths)] satisfies Loot[]));
}
