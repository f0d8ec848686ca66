import { defineEvent, execIdentity, kernelIdentity, placement } from './field.ts';

/** The end of a process: its last thread left (signal->live == 0). */
export const exit = defineEvent({
  name: 'exit',
  id: 2,
  table: 'exit_events',
  orderBy: ['node', 'pid', 'start_ns'],
  doc: 'The end of a process that had executed a program (tp_btf/sched_process_exit with signal->live == 0).',
  fields: [
    ...kernelIdentity,
    ...execIdentity,
    { name: 'exit_code', kind: 'u32', from: 'kernel', doc: 'Exit status, 0 to 255.' },
    { name: 'signal', kind: 'u32', from: 'kernel', doc: 'Signal that ended it; 0 when it exited by itself.' },
    ...placement,
  ],
});
