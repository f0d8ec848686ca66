/** Secrets told by the name they are given under. */

import type { NameRule } from './redaction-rules.ts';

/** First words that make a name a switch or a number (`--no-password`, `--max-token`). */
const SWITCH_NAME = /^(?:no|without|skip|disable|enable|show|hide|allow|require|ask|prompt|max|min|num|print)-/;

/** Names that end as a secret's and are none: the shell's folders, places in a list, a model's special tokens. */
const NO_SECRET_NAMES =
  /^(?:old)?pwd$|(?:^|-)(?:next|page|starting|continuation|pad|eos|bos|unk|mask)-token$|(?:^|-)(?:single|multi|two|one|first|second|by)-pass$/;

export const NAME_RULES: readonly NameRule[] = [
  {
    kind: 'name',
    name: 'passwords',
    endings: ['password', 'passwd', 'passphrase', 'passcode', 'passwort'],
    words: [
      'pass',
      'pwd',
      'pw',
      'psk',
      'storepass',
      'keypass',
      'dbpass',
      'userpass',
      'rootpass',
      'adminpass',
      'otp',
      'requirepass',
      'masterauth',
    ],
    secrets: [
      ['tool', '--password', '{s}'],
      ['tool', '--password={s}', '--verbose'],
      ['tool', '-password', '{s}'],
      ['tool', '--DB_PASSWORD={s}'],
      ['tool', '--dbPassword', '{s}', 'x'],
      ['env', 'PGPASSWORD={s}', 'psql', '-h', 'db'],
      ['docker', 'run', '-e', 'MYSQL_ROOT_PASSWORD={s}', 'mysql'],
      ['docker', 'run', '-eDB_PASS={s}', 'x'],
      ['java', '-Djavax.net.ssl.keyStorePassword={s}', '-jar', 'a.jar'],
      ['keytool', '-storepass', '{s}', '-list'],
      ['helm', 'install', '--set', 'image.tag=1,auth.password={s}'],
      ['kubectl', 'create', 'secret', 'generic', 'x', '--from-literal=password={s}'],
      ['sh', '-c', 'export DB_PASSWORD={s}; exec app --db-passwd {s} --port 1'],
      ['sh', '-c', 'MYSQL_PWD="{s}" mysqldump -h db'],
      ['su', '-', 'x', '-c', 'app --passphrase="{s}" run'],
      ['ssh', 'h', `sh -c "app --password '{s}' -v"`],
      ['sqlcmd', '-C', 'Server=db;User Id=sa;Password={s};Encrypt=no'],
      ['app', 'Server=db;Uid=sa;Pwd={s};Encrypt=no'],
      ['app', '--db', 'Server=db; Uid=sa; Pwd={s}; Encrypt=no'],
      ['app', 'Pwd={s};Server=db'],
      ['app', '--db=DRIVER=x;SERVER=db;UID=sa;PWD={s}'],
      ['app', '{"db":"Server=db;Pwd={s};Encrypt=no"}'],
      ['env', 'ConnectionStrings__Db=Server=db;Pwd={s}', 'app'],
      ['sh', '-c', 'app "Server=db;Pwd={s};x=1" -v'],
      ['curl', 'http://h/?user=x&pwd={s}&n=1'],
      ['curl', '-d', '{"user":"x","pwd":"{s}"}'],
      ['psql', 'host=db user=x password={s} sslmode=require'],
      ['mount', '-o', 'username=x,password={s},uid=0', '//h/s'],
      ['curl', '-d', '{"user":"x","password":"{s}","n":1}', 'http://h/'],
      ['curl', '-d', '{ "user": "x", "Password" : "{s}" }'],
      ['sh', '-c', 'curl -d "{\\"password\\":\\"{s}\\"}" http://h/'],
      ['run', '["app","--password","{s}","-v"]'],
      ['curl', '-d', '{"passwords":{"password":"{s}"},"password":[{s}]}'],
      ['echo', 'password: {s}'],
      ['tool', '-password:{s}'],
    ],
    harmless: [
      ['tool', '--password-file', '/x'],
      ['tool', '--no-password', 'x'],
      ['tool', '--password-stdin'],
      ['tool', '--password', '--verbose', 'x'],
      ['ls', 'password.txt'],
      ['grep', '-r', 'password', '/etc'],
      ['passwd', 'root'],
      ['make', 'PASSWORD_LENGTH=12'],
      ['env', 'PWD=/home/x', 'OLDPWD=/', 'sh'],
      ['sh', '-c', 'cd /x;PWD=/x make; pwd=$(pwd) ./run pwd=~/x'],
      ['cmake', '-DPWD=.', '-P', 'x.cmake'],
      ['python3', '-c', 'import os; pwd = os.getcwd()'],
      ['tool', '--bypass', 'x', '--compass=1'],
      ['sh', '-c', 'app --password "$DB_PASSWORD" --token $(cat /run/t)'],
      ['sh', '-c', 'export PASSWORD=$(pass show x)', 'PASSWORD'],
    ],
  },
  {
    kind: 'name',
    name: 'tokens',
    endings: ['token', 'jwt'],
    words: [
      'bearer',
      'credential',
      'oauth2-bearer',
      'rediscli-auth',
      'neo4j-auth',
      'basic-auth',
      'http-auth',
      'proxy-auth',
    ],
    secrets: [
      ['tool', '--token', '{s}'],
      ['tool', '--github_token={s}'],
      ['tool', '--bearer', '{s}'],
      ['tool', '--credential={s}'],
      ['tool', '--accessToken', '{s}'],
      ['env', 'FOO_TOKEN={s}', 'cmd'],
      ['npm', 'config', 'set', '//registry.example/:_authToken={s}'],
      ['curl', 'https://h/x?page=2&access_token={s}&z=1'],
      ['curl', '--oauth2-bearer', '{s}', 'https://h/'],
      ['curl', '-H', 'Private-Token: {s}', 'https://h/'],
      ['sh', '-c', 'curl -H "X-Auth-Token: {s}" https://h/ && echo done'],
    ],
    harmless: [
      ['git', 'commit', '-m', 'token'],
      ['train', '--tokenizer', 'bert'],
      ['train', '--max-tokens', '100', '--max-token=5'],
      ['tool', '--token-file', '/x', '--token-url=https://h/t'],
      ['docker', 'pull', 'acme/token:latest'],
      ['scp', 'host-token:/a', 'b'],
      ['env', 'TOKENIZERS_PARALLELISM=false', 'x'],
      ['curl', 'https://h/x?page=2&tokenized=1'],
      ['kubectl', 'get', 'secret', 'db-token'],
    ],
  },
  {
    kind: 'name',
    name: 'keys and secrets',
    endings: ['secret', 'apikey', 'accesskey', 'secretkey', 'authkey', 'accountkey', 'privatekey'],
    words: [
      ...[
        'api-key',
        'access-key',
        'secret-key',
        'auth-key',
        'account-key',
        'shared-key',
        'encryption-key',
        'master-key',
      ],
      ...['signing-key', 'storage-key', 'session-key', 'license-key', 'secret-key-base', 'sas', 'api-secret'],
    ],
    secrets: [
      ['tool', '--secret', '{s}', '--api-key={s}'],
      ['tool', '--access-key', '{s}', '--SECRET_KEY', '{s}'],
      ['tool', '--apiKey={s}'],
      ['env', 'AWS_SECRET_ACCESS_KEY={s}', 'aws', 's3', 'ls'],
      ['env', 'SECRET_KEY_BASE={s}', 'rails', 's'],
      ['az', 'x', 'DefaultEndpointsProtocol=https;AccountName=a;AccountKey={s};EndpointSuffix=x'],
      ['curl', '-H', 'X-Api-Key: {s}', 'https://h/'],
      ['http', 'GET', 'https://h/', 'X-API-Key:{s}'],
      ['curl', 'https://h/?apikey={s}'],
      ['sh', '-c', "printf '%s' client_secret={s} > f"],
      ['python3', '-c', 'import x; api_key: str = "{s}"; x.secret["client_secret"] = "{s}"'],
    ],
    harmless: [
      ['docker', 'build', '--secret', 'id=npm,src=/root/.npmrc', '.'],
      ['docker', 'run', '-v', '/run/secret:/run/secret', 'x'],
      ['tool', '--key', 'file.pem', '--secret-name', 'db'],
      ['cat', '/run/secrets/db'],
      ['env', 'AWS_ACCESS_KEY_ID_FILE=/x', 'x'],
    ],
  },
  {
    kind: 'name',
    name: 'headers',
    endings: ['authorization'],
    words: ['cookie', 'subscription-key', 'functions-key', 'x-auth', 'x-key', 'x-session', 'x-session-id'],
    where: 'header',
    secrets: [
      ['curl', '-H', 'Authorization: Bearer {s}', 'https://h/'],
      ['curl', '-H', 'authorization: Basic {s}'],
      ['curl', '--header=Cookie: {s}'],
      ['wget', '--header=Authorization: Basic {s}', 'h'],
      ['wget', '--header=Private-Token: token {s}', 'h'],
      ['git', '-c', 'http.extraheader=AUTHORIZATION: basic {s}', 'fetch'],
      ['tool', '-H', 'Ocp-Apim-Subscription-Key: {s}', '--header=x-auth: {s}'],
      ['bash', '-lc', "wget --header='Proxy-Authorization: {s}' https://h/"],
    ],
    harmless: [
      ['curl', '-H', 'Accept: application/json'],
      ['tool', '--authorization-mode=RBAC'],
    ],
  },
  {
    kind: 'name',
    name: 'query parameters',
    endings: [],
    words: ['sig', 'signature', 'key', 'auth', 'hmac'],
    where: 'query',
    secrets: [
      ['azcopy', 'https://h/c?sv=2020&token={s}&sig={s}'],
      ['curl', 'https://h/o?X-Amz-Date=1&X-Amz-Signature={s}#frag'],
    ],
    harmless: [
      ['gpg', '--key=0xABCD', '--signature=x'],
      ['curl', 'https://h/?monkey=1'],
    ],
  },
];

/** Camel case, `_`, `.` and `:` all join words as `-` does; a leading joint is none. */
function normalise(name: string): string {
  const parted = name.replace(/([a-z0-9])(?=[A-Z])/g, '$1-').toLowerCase();
  return parted.replace(/[_.:-]+/g, '-').replace(/^-/, '');
}

/** Verdicts by name, because the same few flags come with every exec. Emptied when full, so no flood of names grows it. */
const verdicts = new Map<string, boolean>();
const MAX_VERDICTS = 4096;

/** Whether a value under this name is a secret: everywhere, or in the place named. */
export function isSecretName(name: string, where?: 'header' | 'query'): boolean {
  const key = where === undefined ? name : `${where} ${name}`;
  const known = verdicts.get(key);
  if (known !== undefined) return known;
  if (verdicts.size >= MAX_VERDICTS) verdicts.clear();
  const verdict = judgeName(normalise(name), where);
  // A copy: a slice would keep the whole argument alive.
  verdicts.set(Buffer.from(key, 'latin1').toString('latin1'), verdict);
  return verdict;
}

function judgeName(words: string, where?: 'header' | 'query'): boolean {
  if (SWITCH_NAME.test(words) || NO_SECRET_NAMES.test(words)) return false;
  return NAME_RULES.some(
    (rule) =>
      (rule.where === undefined || rule.where === where) &&
      (rule.endings.some((ending) => words.endsWith(ending)) ||
        rule.words.some((word) => words === word || words.endsWith(`-${word}`))),
  );
}
