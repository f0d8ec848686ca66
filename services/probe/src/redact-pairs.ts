/** A user with a password, and headers, given to programs that no rule names: told by the flag and by their shape. */

import { isSecretName } from './redaction-names.ts';
import type { Examples } from './redaction-rules.ts';

/** `-u x:secret`, `--user=x:secret`; the value may be the next argument. */
const CREDENTIAL_FLAG = /^(?:-u|--?(?:user|username|userpass|login|auth|creds?|credentials?|proxy-user))(?:=|$)/;
/** `-ux:secret`; not `-unix:/x`, `-url:x`, and other words that begin with a u. */
const ATTACHED = /^-u(?!(?:rl|ri|ser|sername|nix|tf8|dp|pdate|pload|pgrade|pstream|uid|nit):)/;
const USER_AND_SECRET = /^([\w][\w.@%+\\-]{0,79}|):(.+)$/s;
/** `uid:gid`, `host:port`; nobody chooses such a password, and six digits are more than either. */
const NUMBER = /^(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-5][0-9]{2})(?:[/:,].*)?$/s;
const IPV6 = /^[0-9a-f.]*:[0-9a-f.]*:[0-9a-f.:]*$/i;
const DRIVE = /^[A-Za-z]:[\\/]/;
/** What follows the colon in `docker run --user x:staff`. */
const GROUPS =
  /^(?:root|wheel|nogroup|nobody|users|staff|adm|sudo|daemon|docker|podman|www-data|video|audio|render|input|kvm|tty|disk|games|bin|sys|mail|plugdev|systemd-journal)$/;
/** There a user may be followed by his group; the same word twice is a password elsewhere. */
const TAKES_GROUP: ReadonlySet<string> = new Set(['docker', 'podman', 'nerdctl']);

const HEADER_FLAG = /^(?:-H|--?[a-z-]{0,20}headers?)$/i;
const HEADER_NAME = /^(?:-H)?([A-Za-z][\w-]{0,79})(:?)[ \t]*$/;
const HEADER_AND_SCHEME = /^(?:-H)?([A-Za-z][\w-]{0,79}):[ \t]*[A-Za-z][\w-]{0,20}[ \t]*$/;
const SCHEME = /^(?:bearer|basic|token|digest|negotiate|apikey)(?=[ \t]|$)[ \t]*/i;

/** Where the value of a flag for credentials begins: the word's length when it is the next word, undefined for others. */
export function credentialsFrom(word: string): number | undefined {
  const found = CREDENTIAL_FLAG.exec(word) ?? ATTACHED.exec(word);
  return found?.[0].length;
}

/** Where the secret begins in `user:secret`; undefined for what only looks like one. */
export function secretOfPair(pair: string, program: string): number | undefined {
  const [, user = '', secret] = USER_AND_SECRET.exec(pair) ?? [];
  if (secret === undefined || NUMBER.test(secret) || secret.startsWith('//')) return undefined;
  if (IPV6.test(pair) || DRIVE.test(pair) || GROUPS.test(secret)) return undefined;
  return secret === user && TAKES_GROUP.has(program) ? undefined : user.length + 1;
}

/** Whether the words after this one are the value of a header: `-H Authorization: Bearer x`, or `-H`, `X-Api-Key`, `x`. */
export function announcesHeader(word: string, previous: string): boolean {
  if (!HEADER_FLAG.test(previous) && !word.startsWith('-H')) return false;
  const [, name, scheme] = HEADER_NAME.exec(word) ?? HEADER_AND_SCHEME.exec(word) ?? [];
  if (name === undefined || !isSecretName(name, 'header')) return false;
  return scheme !== undefined || SCHEME.test(word.slice(word.indexOf(':') + 1).trimStart());
}

/** How much of a header's value is its scheme, which is no secret. */
export function schemeLength(value: string): number {
  return SCHEME.exec(value)?.[0].length ?? 0;
}

export type PairRule = { readonly kind: 'pair'; readonly name: string } & Examples;

export const PAIR_RULES: readonly PairRule[] = [
  {
    kind: 'pair',
    name: 'user:password of any program',
    secrets: [
      ['tool', '-u', 'bob:{s}', 'x'],
      ['tool', '-u=bob:{s}'],
      ['tool', '-ubob:{s}'],
      ['tool', '--user', 'bob@example.org:{s}', '-v'],
      ['tool', '--user=bob:{s}'],
      ['tool', '--auth', 'basic:{s}'],
      ['tool', '--creds=bob:{s}', '--login', 'bob:{s}'],
      ['tool', '-u', ':{s}'],
      ['docker', 'run', 'image', 'tool', '-u', 'bob:{s}'],
      ['sh', '-c', 'tool -u bob:{s} x'],
      ['sh', '-c', `tool --user "bob:{s}" x`],
      ['ssh', 'h', `sh -c "tool --user='bob:{s}'"`],
    ],
    harmless: [
      ['tool', '-u', 'bob', 'a:b'],
      ['docker', 'run', '-u', '1000:1000', 'x'],
      ['docker', 'run', '--user', 'app:app', 'x'],
      ['docker', 'exec', '--user=www-data:www-data', 'x', 'sh'],
      ['start', '-u', 'app:nogroup'],
      ['nc', '-u', '10.0.0.1:53'],
      ['nc', '-u', 'ns.example.org:5353'],
      ['nc', '-u', 'fe80::1'],
      ['date', '-u', '+%H:%M:%S'],
      ['ffuf', '-u', 'https://h:8443/FUZZ'],
      ['tool', '--user', 'C:\\Users\\x'],
      ['systemctl', '--user', 'start', 'a:b.service'],
      ['sort', '-u', '-t:', '-k1'],
      ['socat', '-u', '-', 'TCP:h:80'],
      ['nginx', '-unix:/run/x'],
      ['sh', '-c', 'tool -u bob:$PASSWORD -v'],
    ],
  },
  {
    kind: 'pair',
    name: 'a header in several arguments',
    secrets: [
      ['tool', '-H', 'Authorization: Bearer {s}'],
      ['tool', '-H', 'Authorization:', 'Bearer', '{s}', 'x'],
      ['tool', '-H', 'Authorization:', 'Bearer {s}'],
      ['tool', '-H', 'Authorization:', '{s}'],
      ['tool', '-H', 'Authorization: Bearer', '{s}', '-v'],
      ['tool', '--header', 'X-Api-Key', '{s}'],
      ['tool', '-rpc-header', 'authorization:', 'token', '{s}'],
      ['tool', '-HX-Vault-Token:', '{s}'],
      ['sh', '-c', 'tool -H Authorization: Bearer {s}'],
    ],
    harmless: [
      ['tool', '-H', 'Accept:', 'text/plain'],
      ['grep', '-rn', 'Authorization:', 'src'],
      ['tool', '--header', 'Content-Type', 'text/plain'],
      ['tool', '-H', 'Authorization:', '-v', 'x'],
      ['ls', '-H', 'x'],
    ],
  },
];
