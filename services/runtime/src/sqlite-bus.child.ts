// A process for sqlite-bus.test.ts: argv is the folder of the bus, then what to be.
import { argv, stdout } from 'node:process';
import { identity, message, wide } from './bus.contract.kit.ts';
import { dropPrivileges } from './privileges.ts';
import { open } from './sqlite-bus.contract.ts';

const [folder, role, uid] = argv.slice(2) as [string, string, string | undefined];
if (uid !== undefined) dropPrivileges({ uid: Number(uid), gid: Number(uid) });
const bus = open(folder);
if (role === 'talk') {
  await bus.publish('from-child', [message('k', 'hello from the child')]);
  const { promise, resolve } = Promise.withResolvers<void>();
  const subscription = bus.subscribe({ topic: 'to-child', group: 'child', ...wide }, async (plan) => {
    stdout.write(`${JSON.stringify(identity(plan))}\n`);
    resolve();
  });
  await promise;
  await subscription.close();
} else {
  stdout.write(`${JSON.stringify({ id: bus.id })}\n`);
}
await bus.close();
