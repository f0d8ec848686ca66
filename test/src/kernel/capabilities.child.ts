/** Tries, with whatever capabilities it was given, each thing the probe needs one for; prints what was refused. */
import { closeSync, constants, openSync, readlinkSync } from 'node:fs';
import { loadBpfObject } from '@bintrail/probe/bpf-object.ts';
import { openFanotify } from '@bintrail/probe/fanotify.ts';
import { loadLibbpf, loadLibc } from '@bintrail/probe/ffi.ts';

const [bpfObjectPath = '', closedFile = '', otherPid = ''] = process.argv.slice(2);
const libc = loadLibc();

const needs: Readonly<Record<string, () => unknown>> = {
  'load BPF programs': () => loadBpfObject(loadLibbpf(), libc, bpfObjectPath).close(),
  'mark filesystems': () => {
    const fanotify = openFanotify(libc);
    const isMarked = fanotify.mark('/');
    fanotify.close();
    if (!isMarked) throw new Error('refused');
  },
  'look at processes of others': () => readlinkSync(`/proc/${otherPid}/root`),
  'read files of others': () => closeSync(openSync(closedFile, constants.O_RDONLY)),
};

const refused = Object.entries(needs).flatMap(([name, attempt]) => {
  try {
    attempt();
    return [];
  } catch {
    return name;
  }
});
process.stdout.write(JSON.stringify(refused));
