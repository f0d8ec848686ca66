/** What is hidden wherever people put it, and what ordinary command lines keep. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { redactArguments } from './redact.ts';
import { ORDINARY, TAKEN_FOR_SECRETS } from './redact-corpus.fixture.ts';
import { MASK } from './redaction-rules.ts';

/** What tokens and generated passwords are made of. */
const ordinary = fc
  .tuple(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{7,60}$/), fc.integer({ min: 0, max: 9 }))
  .map(([text, digit]) => `${text}${digit}`);

const program = fc.stringMatching(/^[a-z][a-z0-9_-]{1,12}$/).map((name) => `our-${name}`);
const user = fc.stringMatching(/^[A-Za-z][\w.@-]{0,20}$/);
const ordinaryWords = fc.array(fc.constantFrom('-v', '--once', 'a.txt', '/srv/x', 'x=1', 'run', 'https://h/x'), {
  maxLength: 3,
});
/** Where people put secrets on the command lines of programs that nobody has heard of. */
const planted: fc.Arbitrary<(secret: string) => string[]> = fc.oneof(
  fc
    .tuple(fc.constantFrom('-u', '--user', '--login', '--auth', '--creds', '--proxy-user'), user)
    .map(([flag, name]) => (s: string) => [flag, `${name}:${s}`]),
  fc.tuple(fc.constantFrom('--user', '--auth', '-u'), user).map(([flag, name]) => (s: string) => [
    `${flag}=${name}:${s}`,
  ]),
  fc
    .tuple(
      fc.constantFrom('Pwd', 'PWD', 'pwd', 'Password'),
      fc.constantFrom(';', '; '),
      fc.boolean(),
      fc.constantFrom('--db', '-c', '--connection'),
    )
    .map(([name, joint, last, flag]) => (s: string) => [
      flag,
      ['Server=db', 'Uid=sa', `${name}=${s}`, ...(last ? [] : ['Encrypt=no'])].join(joint),
    ]),
  fc
    .tuple(
      fc.constantFrom('-H', '--header'),
      fc.constantFrom('Authorization', 'Proxy-Authorization', 'X-Api-Key', 'Private-Token'),
      fc.constantFrom('', 'Bearer', 'Basic', 'token'),
    )
    .chain(([flag, name, scheme]) =>
      fc.constantFrom(
        (s: string) => [flag, `${name}: ${scheme} ${s}`],
        (s: string) => [flag, `${name}:`, ...(scheme === '' ? [] : [scheme]), s],
        (s: string) => [flag, `${name}:`, `${scheme} ${s}`.trimStart()],
        (s: string) => [`${flag}=${name}: ${scheme} ${s}`],
      ),
    ),
);

test('a secret planted on the command line of an unknown program never comes out, nor through shells', () => {
  fc.assert(
    fc.property(
      program,
      ordinaryWords,
      planted,
      ordinary,
      ordinaryWords,
      fc.boolean(),
      (name, before, plant, secret, after, shell) => {
        const argv = [name, ...before, ...plant(secret), ...after];
        const quoted = argv.map((word) => (/[ ;]/.test(word) ? `"${word}"` : word)).join(' ');
        const out = redactArguments(shell ? ['sh', '-c', quoted] : argv).argv.join(' ');
        assert.ok(!out.includes(secret), out);
        assert.ok(out.includes(name) && out.includes(MASK), out);
      },
    ),
    { numRuns: 5000 },
  );
});

test(`ordinary command lines stay as they are: ${ORDINARY.length} of them, and in a shell`, () => {
  const isKept = (line: string) => {
    const split = redactArguments(line.split(' ')).argv.join(' ');
    return split === line && redactArguments(['sh', '-c', line]).argv[2] === line;
  };
  assert.deepEqual(
    [...ORDINARY, ...TAKEN_FOR_SECRETS].filter((line) => !isKept(line)),
    TAKEN_FOR_SECRETS,
  );
});
