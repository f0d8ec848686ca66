import { readFileSync } from 'node:fs';
import { findCommand, withAdminCommands } from './commands.mjs';
import { runStep } from './progress.mjs';

/** When Bintrail is started by root: everything but the probe, and the probe, which is of the group of the first. */
export const SERVICE_USERS = ['bintrail', 'bintrail-probe'];

/** @returns those that this machine does not have yet */
export function missingServiceUsers(passwdFile = '/etc/passwd') {
  const lines = readFileSync(passwdFile, 'utf8').split('\n');
  return SERVICE_USERS.filter((user) => !lines.some((line) => line.startsWith(`${user}:`)));
}

/** Creates a system user, without home and login. Throws StepFailed. */
export async function createServiceUser(user, env) {
  const adminEnv = withAdminCommands(env);
  const nologin = findCommand(['nologin', 'false'], adminEnv) ?? '/bin/false';
  const [group] = SERVICE_USERS;
  const isFirst = user === group;
  const command = findCommand(['useradd'], adminEnv)
    ? [
        'useradd',
        '--system',
        ...(isFirst ? ['--user-group'] : ['--gid', group]),
        '--no-create-home',
        '--shell',
        nologin,
      ]
    : ['adduser', '-S', '-D', '-H', ...(isFirst ? [] : ['-G', group]), '-s', nologin];
  await runStep(`system user ${user}`, [...command, user], { env: adminEnv });
}
