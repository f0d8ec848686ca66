/** Sleeps until a descriptor has something to read: one asynchronous epoll_wait, and nothing else, costs idle time. */
import { closeSync } from 'node:fs';
import { type Libc, lastErrno } from './ffi.ts';

// include/uapi/linux/eventpoll.h
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
export const EPOLLIN = 0x1;
export const EPOLLPRI = 0x2;
/** Once for each time it is woken, not for as long as there is something. */
export const EPOLLET = 0x8000_0000;
const MAX_EVENTS = 8;
// struct epoll_event is packed on x86-64 only: u32 events, then u64 data.
const DATA_AT = process.arch === 'x64' ? 4 : 8;
const EVENT_BYTES = DATA_AT + 8;

export type Wakeup = {
  readonly watch: (fd: number, events: number) => void;
  /** Resolves with the descriptors that are ready; empty after the timeout. */
  readonly wait: (timeoutMs: number) => Promise<number[]>;
  readonly close: () => void;
};

export function openWakeup(libc: Libc): Wakeup {
  const epoll = Number(libc.epollCreate(EPOLL_CLOEXEC));
  const events = new Uint8Array(EVENT_BYTES * MAX_EVENTS);
  const view = new DataView(events.buffer);
  const watch = (fd: number, mask: number) => {
    const event = new DataView(new ArrayBuffer(16));
    event.setUint32(0, mask, true);
    event.setUint32(DATA_AT, fd, true);
    if (Number(libc.epollCtl(epoll, EPOLL_CTL_ADD, fd, new Uint8Array(event.buffer))) < 0) {
      throw new Error(`epoll_ctl(${fd}) failed: errno ${lastErrno()}`);
    }
  };
  const wait = (timeoutMs: number) =>
    new Promise<number[]>((resolve, reject) => {
      libc.epollWait.async(epoll, events, MAX_EVENTS, timeoutMs, (error: unknown, count: number | bigint) => {
        if (error) return reject(error as Error);
        // A negative count is EINTR, the only failure epoll_wait(2) has left here: nothing is ready.
        const ready = Math.max(0, Number(count));
        resolve(Array.from({ length: ready }, (_, i) => view.getUint32(i * EVENT_BYTES + DATA_AT, true)));
      });
    });
  return { watch, wait, close: () => closeSync(epoll) };
}
