/** Ways to run a script by its interpreter, and how it is known then. */
export type Case = {
  readonly name: string;
  readonly script: string;
  readonly text: string;
  readonly argv: (path: string) => readonly string[];
  readonly stdin?: true;
  /** Run in the script's folder, on a disk only. */
  readonly inFolder?: true;
  readonly parent?: RegExp;
  readonly evidence?: string;
  /** Where no read is seen: on tmpfs, and before Linux 6.12. */
  readonly unread?: string;
};

export const CASES: readonly Case[] = [
  { name: 'sh x.sh', script: 'a.sh', text: 'true', argv: (path) => ['/bin/sh', path], parent: /\/dash$/ },
  { name: 'bash x.sh', script: 'b.sh', text: 'true', argv: (path) => ['/bin/bash', path] },
  { name: 'options before it', script: 'c.sh', text: ':', argv: (path) => ['/bin/bash', '-eo', 'pipefail', path, 'a'] },
  { name: 'a relative path', script: 'd.sh', text: 'true', argv: () => ['/bin/sh', './d.sh'], inFolder: true },
  { name: 'bash < x.sh', script: 'e.sh', text: 'true', argv: () => ['/bin/bash'], stdin: true, evidence: 'stdin' },
  {
    name: 'sh -s < x.sh',
    script: 'f.sh',
    text: ':',
    argv: () => ['/bin/sh', '-s', 'a'],
    stdin: true,
    evidence: 'stdin',
  },
  // Reads its site, libraries and compiled modules first.
  {
    name: 'python3 x.py',
    script: 'g.py',
    text: 'import json',
    unread: 'named',
    argv: (path) => ['/usr/bin/python3', path],
  },
  {
    name: 'python3 < x.py',
    script: 'h.py',
    text: '1',
    argv: () => ['/usr/bin/python3'],
    stdin: true,
    evidence: 'stdin',
  },
  { name: 'perl x.pl', script: 'i.pl', text: '1;', unread: 'named', argv: (path) => ['/usr/bin/perl', '-w', path] },
  {
    name: 'busybox sh x.sh',
    script: 'j.sh',
    text: ':',
    argv: (path) => ['/bin/busybox', 'sh', path],
  },
  {
    name: 'busybox awk -f x.awk',
    script: 'l.awk',
    text: 'BEGIN { exit }',
    unread: 'named',
    argv: (path) => ['/bin/busybox', 'awk', '-f', path],
  },
  {
    name: 'busybox sed -f x.sed',
    script: 'm.sed',
    text: 'p',
    unread: 'named',
    argv: (path) => ['/bin/busybox', 'sed', '-n', '-f', path, '/dev/null'],
  },
  {
    name: 'env python3 x.py',
    script: 'k.py',
    text: '1',
    unread: 'named',
    argv: (path) => ['/usr/bin/env', '/usr/bin/python3', path],
  },
];
