/** Secrets told by their own shape, wherever they stand. */

import type { PatternRule } from './redaction-rules.ts';

export const PATTERN_RULES: readonly PatternRule[] = [
  {
    kind: 'pattern',
    name: 'private key blocks',
    hint: /PRIVATE KEY/,
    pattern:
      /(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)[\s\S]*?(-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)/g,
    secrets: [
      ['tool', '-----BEGIN RSA PRIVATE KEY-----{s}-----END RSA PRIVATE KEY-----'],
      ['sh', '-c', 'echo "-----BEGIN OPENSSH PRIVATE KEY-----{s}'],
    ],
    harmless: [['grep', '-----BEGIN CERTIFICATE-----', 'f']],
  },
  {
    kind: 'pattern',
    name: 'tokens with a known beginning',
    hint: /AKIA|ASIA|gh[opusr]_|github_pat|glpat|xox|xapp|[sr]k[_-]|npm_|AIza|hvs\.|dop_|ya29|pypi|SG\.|shpat/,
    // Short minima: arguments are cut at the probe's limit, and half a token is half a secret.
    pattern:
      /(?<![A-Za-z0-9])(AKIA|ASIA|gh[opusr]_|github_pat_|glpat-|xox[a-z]-|xapp-|[sr]k_(?:live|test)_|sk-ant-|sk-proj-|npm_(?=[A-Za-z0-9]{8})(?=[A-Za-z]{0,40}[0-9])|AIza|hvs\.|dop_v1_|ya29\.|pypi-AgE|SG\.|shpat_)[A-Za-z0-9_.+/=-]{8,}/g,
    secrets: [
      ['x', 'AKIA{s}'],
      ['x', '--v=ghp_{s}', 'github_pat_{s}'],
      ['sh', '-c', 'gh x xoxb-{s} ; sk_live_{s}'],
      ['x', '{"a":"AIza{s}"}', 'glpat-{s}'],
    ],
    harmless: [
      ['x', 'npm_config', 'npm_execpath', 'npm_config_registry=x', 'npm_package_json'],
      ['x', 'ASIA'],
      ['cat', 'AKIA.txt'],
      ['ls', 'gnupg_v2', 'xghp_aaaaaaaaaaaa'],
    ],
  },
  {
    kind: 'pattern',
    name: 'webhook addresses',
    hint: /hooks\.|discord|webhook|telegram/,
    pattern:
      /((?:hooks\.slack(?:-gov)?\.com\/(?:services|workflows|triggers)|discord(?:app)?\.com\/api\/webhooks|\.webhook\.office\.com\/webhookb2|api\.telegram\.org\/bot)\/?)[^ \t\r\n"'<>\\]+/g,
    secrets: [
      ['curl', '-d', 'x', 'https://hooks.slack.com/services/{s}'],
      ['sh', '-c', "curl 'https://discord.com/api/webhooks/{s}' -d x"],
    ],
    harmless: [['curl', 'https://hooks.slack.com/']],
  },
  {
    kind: 'pattern',
    name: 'JSON web tokens',
    hint: /eyJ/,
    pattern: /(?<![A-Za-z0-9_-])(eyJ)[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}/g,
    secrets: [
      ['x', 'eyJ{s}'],
      ['sh', '-c', 'x eyJ{s} y'],
    ],
    harmless: [
      ['x', 'eyJ'],
      ['x', 'keyJoin-abcdefghijklm'],
    ],
  },
  {
    kind: 'pattern',
    name: 'bearer',
    hint: /bearer/,
    pattern: /(\bbearer[ \t]+)(?=[^ \t\r\n"']{0,200}[0-9])[A-Za-z0-9._~+/=-]{8,}/gi,
    secrets: [['grpcurl', '-rpc-header', 'auth: x Bearer {s}', 'h']],
    harmless: [['x', 'bearer authentication']],
  },
  {
    kind: 'pattern',
    name: 'SQL passwords',
    hint: /'/,
    pattern: /(\b(?:password|identified[ \t]+by)[ \t(]+')[^']*(?:''[^']*)*/gi,
    secrets: [
      ['psql', '-c', "ALTER USER x WITH PASSWORD '{s}' VALID UNTIL 'infinity'"],
      ['mysql', '-e', "CREATE USER x IDENTIFIED BY '{s}'"],
      ['sh', '-c', `psql -c "ALTER ROLE x PASSWORD '{s}'"`],
    ],
    harmless: [['psql', '-c', "select 'password'"]],
  },
  {
    kind: 'pattern',
    name: 'user:password@host without a scheme',
    hint: /@/,
    pattern:
      /(?<![^ \t\r\n"'=,])(?!(?:npm|mailto|docker|oci|git|ssh|sip|file):)([A-Za-z0-9._-]{1,64}:)[^ \t\r\n"'@/:]{1,256}(@(?!sha256:|sha512:)[A-Za-z0-9.-])/g,
    secrets: [
      ['curl', '--proxy', 'user:{s}@proxy:3128', 'h'],
      ['env', 'http_proxy=user:{s}@proxy', 'x'],
    ],
    harmless: [
      ['docker', 'run', 'nginx:1.25@sha256:abc'],
      ['npm', 'i', 'npm:left-pad@1.0'],
      ['scp', 'host:/a@b', 'c'],
    ],
  },
];
