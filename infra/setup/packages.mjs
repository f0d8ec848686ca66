import { findCommand, withAdminCommands } from './commands.mjs';
import { runStep } from './progress.mjs';

/** How each package manager installs without asking; apt waits for another one's lock instead of failing. */
const MANAGERS = {
  'apt-get': {
    refresh: ['apt-get', 'update'],
    install: ['apt-get', 'install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120'],
  },
  dnf: { install: ['dnf', 'install', '-y', '--setopt=install_weak_deps=False'] },
  apk: { install: ['apk', 'add', '--no-cache'] },
  pacman: { install: ['pacman', '-Sy', '--needed', '--noconfirm'] },
  zypper: { install: ['zypper', '--non-interactive', 'install', '--no-recommends'] },
};

function plan(missing, env) {
  const manager = Object.keys(MANAGERS).find((name) => findCommand([name], env));
  if (manager === undefined) return undefined;
  const names = [...new Set(missing.flatMap((need) => need.packages?.[manager] ?? []))];
  const { refresh, install } = MANAGERS[manager];
  return { manager, names, commands: [...(refresh ? [refresh] : []), [...install, ...names]] };
}

/** @returns the command line, with sudo unless root, that installs what is missing; undefined: manager unknown */
export function installCommand(missing, env) {
  const prefix = process.getuid?.() === 0 ? '' : 'sudo ';
  return plan(missing, env)
    ?.commands.map((command) => prefix + command.join(' '))
    .join(' && ');
}

/** Installs, as root, what a package brings. @returns whether a package manager was found; throws StepFailed */
export async function installPackages(missing, env) {
  const planned = plan(missing, env);
  if (planned === undefined) return false;
  const options = { env: { ...withAdminCommands(env), DEBIAN_FRONTEND: 'noninteractive' } };
  for (const command of planned.commands) {
    const isRefresh = command === MANAGERS[planned.manager].refresh;
    await runStep(isRefresh ? 'package lists' : `packages ${planned.names.join(' ')}`, command, options);
  }
  return true;
}
