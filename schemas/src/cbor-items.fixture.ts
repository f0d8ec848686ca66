/** Where the items of a CBOR text lie, so that a test can damage one and leave its surroundings as they were. */

export type Item = {
  readonly at: number;
  readonly headBytes: number;
  readonly major: number;
  readonly argument: bigint;
  /** Where the next item after it and all it holds begins. */
  readonly end: number;
};

/** A map's entries, each from the beginning of its key to the end of its value. */
export type MapItem = Item & { readonly entries: readonly (readonly [from: number, to: number])[] };

export type Items = { readonly all: readonly Item[]; readonly maps: readonly MapItem[] };

const MAJOR = { bytes: 2, text: 3, array: 4, map: 5, tag: 6 };

/** Every item of well-formed bytes with definite lengths, in order. */
export function itemsOf(bytes: Uint8Array): Items {
  const all: Item[] = [];
  const maps: MapItem[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

  const read = (at: number): number => {
    const major = view.getUint8(at) >> 5;
    const info = view.getUint8(at) & 0x1f;
    const width = info < 24 ? 0 : 1 << (info - 24);
    const argument = [
      BigInt(info),
      () => view.getUint8(at + 1),
      () => view.getUint16(at + 1),
      undefined,
      () => view.getUint32(at + 1),
      undefined,
      undefined,
      undefined,
      () => view.getBigUint64(at + 1),
    ][width];
    if (info > 27 || argument === undefined) throw new RangeError(`no definite length at byte ${at}`);
    const item = {
      at,
      headBytes: 1 + width,
      major,
      argument: BigInt(typeof argument === 'bigint' ? argument : argument()),
    };
    const place = all.push({ ...item, end: 0 }) - 1;
    const { end, entries } = readContent(item);
    all[place] = { ...item, end };
    if (major === MAJOR.map) maps.push({ ...item, end, entries });
    return end;
  };

  const readContent = ({ at, headBytes, major, argument }: Omit<Item, 'end'>) => {
    let end = at + headBytes;
    const entries: [number, number][] = [];
    if (major === MAJOR.bytes || major === MAJOR.text) end += Number(argument);
    if (major === MAJOR.tag) end = read(end);
    if (major === MAJOR.array) for (let n = 0; n < argument; n++) end = read(end);
    if (major === MAJOR.map) {
      for (let n = 0; n < argument; n++) {
        const from = end;
        end = read(read(end));
        entries.push([from, end]);
      }
    }
    return { end, entries };
  };

  read(0);
  return { all, maps };
}
