/** Who last wrote a file, and whether it was the workload itself that wrote what it runs. */
import { flagBit, withFlag } from '@bintrail/schemas/flags.ts';
import type { Row } from './events-out.ts';
import type { FileState } from './file-identity.ts';
import type { ImageId, ImageTable } from './image-table.ts';
import type { Installers } from './installers.ts';
import type { Place, Program } from './origins.ts';

/** As rows have it; all 0 where it is not known. */
export type Writer = Pick<Row<'exec'>, 'writer_pid' | 'writer_start_ns' | 'writer_self_exec_id' | 'written_ns'>;

/** What the kernel side knows of the writer of this very state of a file. */
export type WriterOf = (file: FileState) => Writer;

export const NO_WRITER: Writer = { writer_pid: 0, writer_start_ns: 0n, writer_self_exec_id: 0, written_ns: 0n };

/** What the probe adds; `program` is undefined for a writer from before its time. */
export type Written = { readonly program: Program | undefined; readonly dropped: boolean };

export type DescribeWriter = (writer: ImageId, place: Place) => Written;

export const DROPPED = flagBit('dropped');

/**
 * `dropped`: a program of the same workload, in the same container, wrote the file, so after that workload had started; and
 * it was no package manager. A writer that the probe does not know makes nothing dropped.
 */
export function createDescribeWriter(images: ImageTable, installers: Installers): DescribeWriter {
  return (writer, place) => {
    const image = images.find(writer);
    const isSame = image?.place.workload === place.workload && image.place.containerId === place.containerId;
    return { program: image?.program, dropped: isSame && !installers.has(writer) };
  };
}

/** Completes a row whose writer fields are set. */
export function addWriter(
  describe: DescribeWriter,
  row: Writer & { writer_path: string; flags: number },
  place: Place,
): void {
  row.writer_path = '';
  if (row.writer_pid === 0) return;
  const id = { pid: row.writer_pid, start_ns: row.writer_start_ns, self_exec_id: row.writer_self_exec_id };
  const { program, dropped } = describe(id, place);
  row.writer_path = program?.path ?? '';
  if (dropped) row.flags = withFlag(row.flags, DROPPED);
}

/** Which time of a file names its content there: see bpf/writers.h. */
export type Stamp = 'ctime_ns' | 'mtime_ns';

/** struct inode_key and struct last_writer of bpf/writers.h. */
const KEY_BYTES = 16;
const VALUE_BYTES = 32;

/** Reads the kernel's map, for files that no event of its own brings: those loaded, and scripts. */
export function writerReader(stamp: Stamp, lookup: (key: Uint8Array, value: Uint8Array) => boolean): WriterOf {
  const [key, value] = [new DataView(new ArrayBuffer(KEY_BYTES)), new DataView(new ArrayBuffer(VALUE_BYTES))];
  const [keyBytes, valueBytes] = [new Uint8Array(key.buffer), new Uint8Array(value.buffer)];
  return ({ ino, dev, generation, [stamp]: stampNs }) => {
    key.setBigUint64(0, ino, true);
    key.setUint32(8, dev, true);
    // As it was made: the kernel gives a file its generation after its times (find_writer of bpf/writers.h).
    const isKnown = [generation, 0].some((each) => {
      key.setUint32(12, each, true);
      return lookup(keyBytes, valueBytes);
    });
    // Changed unseen, or since the event: whoever wrote what was loaded is not known.
    if (ino === 0n || !isKnown || value.getBigUint64(24, true) !== stampNs) return NO_WRITER;
    return {
      writer_start_ns: value.getBigUint64(0, true),
      writer_pid: value.getUint32(8, true),
      writer_self_exec_id: value.getUint32(12, true),
      written_ns: value.getBigUint64(16, true),
    };
  };
}
