/** Code that was mapped before the probe came: told as found, without digest, and counted in no profile. */
import type { RowOf } from '@bintrail/schemas/field.ts';
import { mapping } from '@bintrail/schemas/mapping.ts';
import { readRecordHead, ringDecoder } from '@bintrail/schemas/ring-record.ts';
import type { BpfObject } from './bpf-object.ts';
import type { EventsOut, Row } from './events-out.ts';
import { identityKey } from './file-identity.ts';
import type { ImageId } from './image-table.ts';
import { loadRow } from './loads.ts';
import { type Origins, type Place, placementOf } from './origins.ts';
import { noDigest } from './reading.ts';
import { STREAM } from './streams.ts';

export type MappedSnapshotOptions = {
  readonly bpf: Pick<BpfObject, 'mappedCode'>;
  readonly out: Pick<EventsOut, 'add'>;
  readonly origins: Pick<Origins, 'placeOfPath'>;
  readonly nextSeq: (stream: number) => bigint;
  /** Whether this image was there before the probe: what others map is told of by events. */
  readonly wasThere: (image: ImageId) => boolean;
};

type Found = { readonly row: Row<'load'>; readonly place: Place };

const decode = ringDecoder(mapping);

/**
 * Each use is one row, as of what is mapped later: a file by a program, in a workload and by a user. It carries the first
 * of its processes, and counts the others; `ts` is when that process started.
 */
export function sendMappedCode(options: MappedSnapshotOptions, bootOffsetNs: bigint): void {
  const { bpf, out, origins, nextSeq, wasThere } = options;
  const uses = new Map<string, Found>();
  const met = new Set<string>();
  for (const bytes of bpf.mappedCode()) {
    const [record, head] = [decode(bytes), readRecordHead(bytes)];
    if (record === undefined || head === undefined || !wasThere(record)) continue;
    const ofFile = `${identityKey(record)}:${record.path}`;
    // A library is several mappings.
    if (met.size === met.add(`${record.pid}:${ofFile}`).size) continue;
    const key = [ofFile, record.parent_path, record.cgroup_path, record.uid, record.in_exec].join('\0');
    const known = uses.get(key);
    if (known !== undefined) known.row.repeats += 1;
    else uses.set(key, foundUse(record, origins, head.bootNs + bootOffsetNs, nextSeq(STREAM.load)));
  }
  for (const { row, place } of uses.values()) {
    place.whenSettled(() => out.add('load', { ...row, ...placementOf(place), ...noDigest('snapshot') }));
  }
}

function foundUse(record: RowOf<typeof mapping>, origins: MappedSnapshotOptions['origins'], ts: bigint, seq: bigint) {
  const place = origins.placeOfPath(record.cgroup_path);
  return { row: loadRow(record, place, ts, seq), place };
}
