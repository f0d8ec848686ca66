import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { redactArguments } from './redact.ts';
import { PAIR_RULES, type PairRule } from './redact-pairs.ts';
import { isSecretName, NAME_RULES } from './redaction-names.ts';
import { OPTION_RULES } from './redaction-programs.ts';
import { MASK, type Rule, URL_RULE } from './redaction-rules.ts';
import { PATTERN_RULES } from './redaction-shapes.ts';

const RULES: readonly (Rule | PairRule)[] = [...NAME_RULES, ...OPTION_RULES, ...PATTERN_RULES, ...PAIR_RULES, URL_RULE];

const SECRET = 'S3cr3t-hunter2';
const fill = (template: readonly string[], secret: string) => template.map((word) => word.replaceAll('{s}', secret));

for (const { name, secrets, harmless } of RULES) {
  test(`rule: ${name}`, () => {
    assert.ok(secrets.length > 0 && harmless.length > 0);
    for (const template of secrets) {
      const given = fill(template, SECRET);
      assert.deepEqual(redactArguments(given), { argv: fill(template, MASK), redacted: true }, given.join(' '));
    }
    for (const argv of harmless) assert.deepEqual(redactArguments(argv), { argv, redacted: false }, argv.join(' '));
  });
}

const templates = fc.constantFrom(...RULES.flatMap((rule) => rule.secrets));
/** What tokens and generated passwords are made of; every template must hide these. */
const ordinary = fc
  .tuple(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{15,60}$/), fc.integer({ min: 0, max: 9 }))
  .map(([text, digit]) => `${text}${digit}`);

test('a secret in any rule’s place never comes out, and the mask tells nothing of it', () => {
  fc.assert(
    fc.property(templates, ordinary, (template, secret) => {
      assert.deepEqual(redactArguments(fill(template, secret)).argv, fill(template, MASK));
    }),
    { numRuns: 3000 },
  );
});

/** Templates whose secret fills an argument to its end: there it may be any bytes at all. */
const endings = RULES.flatMap((rule) => (rule.kind === 'name' && rule.where === undefined ? rule.secrets : [])).filter(
  (template) =>
    template.every((word) => !word.includes('{s}') || /^(?:--?)?(?:[\w.-]+=)*(?:-password:)?\{s\}$/.test(word)),
);
const anyBytes = fc.uint8Array({ minLength: 8, maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1'));

test('where the argument is the secret, any bytes are hidden', () => {
  assert.ok(endings.length > 10);
  fc.assert(
    fc.property(fc.constantFrom(...endings), anyBytes, (template, secret) => {
      const { argv, redacted } = redactArguments(fill(template, secret));
      assert.ok(redacted);
      // Quotes around it may stay.
      assert.deepEqual(
        argv.map((word) => word.replace(/(["'\\]*)\[redacted\]\1$/, MASK)),
        fill(template, MASK),
      );
    }),
    { numRuns: 3000 },
  );
});

const phrase = fc.array(fc.stringMatching(/^[A-Za-z0-9;&|()<>=:,#~*?!.\xa0\xc3-]{7,12}$/), {
  minLength: 2,
  maxLength: 4,
});
const shells = fc.constantFrom(
  (s: string) => ['sh', '-c', `mysql -u root -p'${s}' db`],
  (s: string) => ['sh', '-c', `cd /x && app --token "${s}" -v; ls`],
  (s: string) => ['sudo', 'bash', '-ec', `export API_KEY='${s}'\nrun`],
  (s: string) => ['ssh', 'h', `sh -c "curl -u 'u:${s}' https://h/"`],
  (s: string) => ['sh', '-c', `sh -c "sh -c \\"app --password='${s}'\\""`],
  (s: string) => ['sh', '-c', `sshpass -p "${s}" ssh -p 22 h`],
  (s: string) => ['sh', '-c', `curl -H "X-Api-Key: ${s}" -d '{"secret" : "${s}"}' h`],
  (s: string) => ['sh', '-c', `echo 'it'\\''s' --token '${s}'`],
);

test('phrases with blanks inside a shell’s quotes', () => {
  fc.assert(
    fc.property(shells, phrase, (command, words) => {
      const out = redactArguments(command(words.join(' '))).argv.join(' ');
      for (const word of words) assert.ok(!out.includes(word), out);
    }),
    { numRuns: 2000 },
  );
});

test('bytes that Unicode counts as blanks end no secret', () => {
  const argv = ['sh', '-c', 'app --password=p\xc3\xa0sswort\x85x --n 1'];
  assert.deepEqual(redactArguments(argv).argv, ['sh', '-c', 'app --password=[redacted] --n 1']);
  const apart = ['sh', '-c', 'app --password p\xc3\xa0sswort\x85x --n 1'];
  assert.deepEqual(redactArguments(apart).argv, ['sh', '-c', 'app --password [redacted] --n 1']);
});

test('an npm token goes, the variables of npm stay', () => {
  const token = 'npm_aBcD0123456789aBcD0123456789aBcD0123';
  assert.deepEqual(redactArguments(['x', token, 'npm_execpath']).argv, ['x', 'npm_[redacted]', 'npm_execpath']);
});

test('quotes as shells nest and glue them', () => {
  const cases = [
    [`echo 'it'\\''s' --token 'x y' -v`, `echo 'it'\\''s' --token '[redacted]' -v`],
    [`app --token='x'"y z"w -v`, 'app --token=[redacted] -v'],
    [`app --token=x\\ y -v`, 'app --token=[redacted] -v'],
    [`sh -c "sh -c \\"mysql -p'x y' -v\\""`, `sh -c "sh -c \\"mysql -p'[redacted]' -v\\""`],
  ];
  for (const [given = '', expected = ''] of cases) {
    assert.deepEqual(redactArguments(['sh', '-c', given]).argv, ['sh', '-c', expected]);
  }
});

test('a secret cut off by the probe’s limit is hidden as far as it goes', () => {
  assert.deepEqual(redactArguments(['x', '-----BEGIN PRIVATE KEY-----\nMIIEv']).argv, [
    'x',
    '-----BEGIN PRIVATE KEY-----[redacted]',
  ]);
  assert.deepEqual(redactArguments(['sh', '-c', `curl -H "X-Api-Key: abc d`]).argv, [
    'sh',
    '-c',
    'curl -H "X-Api-Key: [redacted]',
  ]);
  assert.deepEqual(redactArguments(['sh', '-c', `app --password 'abc d`]).argv, [
    'sh',
    '-c',
    'app --password [redacted]',
  ]);
});

test('passwords nobody escaped', () => {
  assert.deepEqual(redactArguments(['psql', 'postgres://u:a/b?c#d@h/x']).argv, ['psql', 'postgres://u:[redacted]@h/x']);
  assert.deepEqual(redactArguments(['psql', 'postgres://u:p@ss@h/x']).argv, ['psql', 'postgres://u:[redacted]@h/x']);
});

test('names, in the spellings people use', () => {
  for (const name of [
    'DB_PASSWORD',
    'dbPassword',
    'db-password',
    'db.password',
    'rootpasswd',
    'APIKey',
    'x-api-key',
    'PGPASSWORD',
  ]) {
    assert.ok(isSecretName(name), name);
  }
  for (const name of [
    'tokenizer',
    'password_file',
    'PWD',
    'bypass',
    'key',
    'secretary',
    'max_token',
    'passwordless',
    'id',
  ]) {
    assert.ok(!isSecretName(name), name);
  }
});

const fragments = fc.constantFrom(
  'password',
  '--token',
  '=',
  ':',
  ' ',
  '"',
  "'",
  '\\',
  '{',
  '}',
  ',',
  ';',
  '&',
  '?',
  '://',
  '@',
  'mysql',
  '-p',
  'curl',
  '-u',
  'Bearer ',
  'Authorization: ',
  'sh',
  '-c',
  '[redacted]',
  'x',
  '\n',
  '\xa0',
  'eyJ',
  '-----BEGIN PRIVATE KEY-----',
);
const argvs = fc.array(
  fc.oneof(
    anyBytes,
    fc.array(fragments, { maxLength: 12 }).map((parts) => parts.join('')),
  ),
  { maxLength: 8 },
);

test('any arguments: as many come out, and what changed says so', () => {
  fc.assert(
    fc.property(argvs, (argv) => {
      const out = redactArguments(argv);
      assert.equal(out.argv.length, argv.length);
      assert.equal(
        out.redacted,
        out.argv.some((word, index) => word !== argv[index]),
      );
      for (const [index, word] of out.argv.entries()) if (word !== argv[index]) assert.ok(word.includes(MASK), word);
    }),
    { numRuns: 5000 },
  );
});

const UNITS = [
  'a=',
  'password=',
  'password:',
  'token=a&',
  ' --password ',
  '"',
  "'",
  '\\',
  '\\"',
  `'"`,
  `"a 'b \\"c `,
  '://',
  'a://b:c',
  'a://b:/@',
  'eyJ',
  'eyJa-',
  'eyJaaaaaaaa.',
  'AKIA',
  'ghp_a ',
  'Bearer ',
  '-----BEGIN PRIVATE KEY-----',
  '-----END ',
  'a:b@',
  'a:b ',
  "password '",
  "identified by ''",
  ' ',
  'a',
  '-',
  '{"password":',
  '"password":{',
  '(',
  "'\\''",
  'x;',
  ', "--token",',
  'hooks.slack.com/services/',
];

test('200 KB of the worst there is: done, not hanging', () => {
  // In a process of its own, because nothing else stops a regular expression that runs away.
  const script = `
    import { redactArguments } from ${JSON.stringify(fileURLToPath(new URL('./redact.ts', import.meta.url)))};
    for (const unit of JSON.parse(process.argv[1])) {
      const text = unit.repeat(200_000 / unit.length);
      for (const argv of [[text], ['sh', '-c', 'x ' + text], ['mysql', '--password', text], Array(200).fill(text.slice(0, 1000))]) redactArguments(argv);
    }`;
  execFileSync(process.execPath, ['--input-type=module', '-e', script, JSON.stringify(UNITS)], { timeout: 120_000 });
});
