/** An exit, from its record straight into columns: with the workload of the program image that ended. */
import { putText, reserveRow, textCells } from '@bintrail/schemas/batch-columns.ts';
import { type Offset, ringColumns, wallClock } from '@bintrail/schemas/ring-columns.ts';
import type { Text } from '@bintrail/schemas/text-table.ts';
import type { EventsOut } from './events-out.ts';
import { type ImageTable, imageWords } from './image-table.ts';
import { placementOf } from './origins.ts';
import { type RecordBuffer, recordView } from './record-buffer.ts';
import { decodeExitRecord } from './records.ts';

/** Takes the record at this index; false when it is none, or of no known image although it `mustBeKnown`. */
export type TakeExit = (records: RecordBuffer, index: number, offset: Offset, mustBeKnown: boolean) => boolean;

export function createExitColumns(out: EventsOut, images: ImageTable): TakeExit {
  const columns = out.columns('exit');
  const ring = ringColumns(columns);
  const self = imageWords(ring, ['pid', 'start_ns', 'self_exec_id']);
  const [workload, container, image] = [
    textCells(columns, 'workload'),
    textCells(columns, 'container_id'),
    textCells(columns, 'image'),
  ];
  const [noWorkload, noContainer, noImage] = [workload, container, image].map(({ table }) =>
    table.internLatin1(''),
  ) as [Text, Text, Text];
  return (records, index, offset, mustBeKnown) => {
    if (records.lengths[index] !== ring.layout.sizeBytes) return false;
    const word = records.starts[index]! >>> 2;
    const time = wallClock(records, word, offset);
    if (time.high >= 0x8000_0000) return false;
    const known = images.placeOf(records.words, word, self);
    if (known === undefined && mustBeKnown) return false;
    if (known?.isSettled === false) {
      const ended = decodeExitRecord(recordView(records, index), (BigInt(time.high) << 32n) | BigInt(time.low));
      if (ended !== undefined) known.whenSettled(() => out.add('exit', { ...ended, ...placementOf(known) }));
      return ended !== undefined;
    }
    const place = known?.inExit;
    const row = reserveRow(columns);
    ring.copyNumbers(records, word, row, time);
    putText(workload, row, place?.workload ?? noWorkload);
    putText(container, row, place?.containerId ?? noContainer);
    putText(image, row, place?.image ?? noImage);
    columns.rows += 1;
    out.added('exit');
    return true;
  };
}
