import { readFileSync } from 'node:fs';
import { findCommand, withAdminCommands } from './commands.mjs';
import { runStep } from './progress.mjs';

/** Everything but the probe runs as this user when Bintrail is started by root. */
const USER = 'bintrail';

export function serviceUserExists(passwdFile = '/etc/passwd') {
  return readFileSync(passwdFile, 'utf8')
    .split('\n')
    .some((line) => line.startsWith(`${USER}:`));
}

/** Creates the system user, without home and login. Throws StepFailed. */
export async function createServiceUser(env) {
  const adminEnv = withAdminCommands(env);
  const nologin = findCommand(['nologin', 'false'], adminEnv) ?? '/bin/false';
  const command = findCommand(['useradd'], adminEnv)
    ? ['useradd', '--system', '--user-group', '--no-create-home', '--shell', nologin, USER]
    : ['adduser', '-S', '-D', '-H', '-s', nologin, USER];
  await runStep(`system user ${USER}`, command, { env: adminEnv });
}
