import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 50;

/**
 * Waits until a broker's port is open, which in KRaft is when it has registered and read its logs.
 * @returns false when `running` says the process has ended first
 */
export async function answers(port: number, running: () => boolean): Promise<boolean> {
  while (running()) {
    const socket = connect(port, '127.0.0.1');
    const open = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (open) return true;
    await delay(POLL_MS);
  }
  return false;
}
