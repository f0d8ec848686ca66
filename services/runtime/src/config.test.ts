import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  durationMs,
  flag,
  httpUrl,
  integer,
  oneOf,
  optional,
  port,
  readConfig,
  required,
  setting,
  sizeBytes,
  text,
} from './config.ts';
import { SetupError } from './errors.ts';

const spec = {
  home: setting('HOME_DIR', text, '.home'),
  port: setting('PORT', port, 7070),
  url: optional('URL', httpUrl),
  name: required('NAME', text),
  hooks: setting('HOOKS', oneOf('auto', 'lsm'), 'auto'),
};

test('values are parsed, absent and empty ones take their default', () => {
  const config = readConfig(
    { PORT: '80', URL: 'http://localhost:8123/x', NAME: 'n', HOME_DIR: '', HOOKS: 'lsm' },
    spec,
  );
  assert.deepEqual(config, {
    home: '.home',
    port: 80,
    url: new URL('http://localhost:8123/x'),
    name: 'n',
    hooks: 'lsm',
  });
  const typed: { home: string; port: number; url: URL | undefined; name: string; hooks: 'auto' | 'lsm' } = config;
  assert.equal(typed.url?.port, '8123');
  assert.deepEqual(readConfig({ NAME: 'n' }, spec), {
    home: '.home',
    port: 7070,
    url: undefined,
    name: 'n',
    hooks: 'auto',
  });
});

test('all faults are told at once, by name and with what is allowed, and no value is repeated', () => {
  const env = { PORT: '70000', URL: 'ftp://user:secret@host', NAME: '', HOOKS: 'all' };
  assert.throws(
    () => readConfig(env, spec),
    (error) => {
      assert(error instanceof SetupError);
      assert.equal(error.message, 'settings missing or not understood: PORT, URL, NAME, HOOKS');
      assert.match(
        error.remedy,
        /PORT must be a whole number from 0 to 65535; URL must be .*http.*; NAME must be a text/,
      );
      assert.match(error.remedy, /HOOKS must be one of auto, lsm/);
      assert.doesNotMatch(error.message + error.remedy, /secret|70000/);
      return true;
    },
  );
});

test('each parser takes what it allows and nothing else', () => {
  const parsed = (parser: { parse(value: string): unknown }, ...values: string[]) =>
    values.map((value) => parser.parse(value));
  const refused = (count: number) => Array(count).fill(undefined);
  const whole = integer({ min: -5, max: 10 });
  assert.deepEqual(parsed(whole, '-5', '10', '0', '007'), [-5, 10, 0, 7]);
  assert.deepEqual(parsed(whole, '-6', '11', '1.5', '1e1', ' 1', '0x1', 'NaN', 'one'), refused(8));
  assert.deepEqual(parsed(flag, 'true', 'false'), [true, false]);
  assert.deepEqual(parsed(flag, 'yes', '1', 'TRUE', 'constructor', '__proto__'), refused(5));
  assert.deepEqual(parsed(oneOf('a', 'b'), 'a', 'b', 'c', 'constructor'), ['a', 'b', undefined, undefined]);
  assert.deepEqual(parsed(httpUrl, 'localhost:80', '/x', 'file:///etc/passwd', 'javascript:1'), refused(4));
  assert.deepEqual(parsed(sizeBytes, '1B', '2KiB', '512 MiB', '1.5GiB'), [1, 2048, 536_870_912, 1_610_612_736]);
  assert.deepEqual(parsed(sizeBytes, '12', 'MiB', '-1MiB', '1MB', '1toString'), refused(5));
  assert.deepEqual(
    parsed(durationMs, '500ms', '10s', '5m', '2h', '7d'),
    [500, 10_000, 300_000, 7_200_000, 604_800_000],
  );
  assert.deepEqual(parsed(durationMs, '7', '7w', ''), refused(3));
});
