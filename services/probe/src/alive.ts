/** Looks at all processes: what is not found was gone by then, also where its exit was lost or nobody was watching. */
import type { BpfObject } from './bpf-object.ts';
import type { Clock } from './clock.ts';
import type { ContainerNames } from './containers/names.ts';
import type { EventsOut } from './events-out.ts';
import type { ImageId } from './image-table.ts';

type Looking = {
  readonly bpf: Pick<BpfObject, 'alive'>;
  readonly clock: Pick<Clock, 'nowNs'>;
  readonly out: Pick<EventsOut, 'add'>;
  readonly containerOf: (image: ImageId) => string;
  readonly containerNames: Pick<ContainerNames, 'onLook'>;
};

/** Each row says how many there are: whoever has as many has them all, in however many messages they came. */
export function sendAlive({ bpf, clock, out, containerOf, containerNames }: Looking): void {
  // Before the look: what started since, and was perhaps not met, is told by its own event.
  const ts = clock.nowNs();
  const found = bpf.alive();
  for (const image of found) out.add('alive', { ts, images: found.length, ...image });
  containerNames.onLook(new Set(found.map(containerOf)), ts);
}
