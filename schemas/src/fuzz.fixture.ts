/** Runs damaged input through the decoders and counts what becomes of it. Each input follows from its number alone. */
import { readdirSync, readFileSync } from 'node:fs';
import { type Batch, decodeBatch, peekHeader } from './batch-decode.ts';
import { encodeBatch } from './batch-encode.ts';
import { damagedRecord, writeRecord } from './damaged-record.fixture.ts';
import { rowsOf } from './event-rows.fixture.ts';
import { eventByName } from './events.ts';
import { KERNEL_RECORDS } from './kernel-records.ts';
import { type Random, seededRandom } from './mutation.fixture.ts';
import { readRecordHead, ringDecoder, ringRefusal } from './ring-record.ts';
import { type Message, messageOf, mutateMessage } from './structured-mutation.fixture.ts';

export type Tally = {
  /** How many were refused, by reason. */
  readonly refused: Record<string, number>;
  /** How many were read, encoded anew and read again as the same. */
  taken: number;
  slowestMs: number;
};

const GOLDEN = new URL('../golden/', import.meta.url);
export const FUZZES = { messages: fuzzMessages, records: fuzzRecords };

/** Inputs from number `from` to `to` (excluded); throws, with the input, at the first that is treated wrongly. */
function fuzz(
  seed: number,
  from: number,
  to: number,
  one: (random: Random) => { bytes: Uint8Array; check: () => string | undefined },
): Tally {
  const tally: Tally = { refused: {}, taken: 0, slowestMs: 0 };
  for (let number = from; number < to; number++) {
    const { bytes, check } = one(seededRandom(Math.imul(seed + number, 0x9e37_79b1)));
    const startMs = performance.now();
    let reason: string | undefined;
    try {
      reason = check();
    } catch (error) {
      throw new Error(`input ${number} of seed ${seed}: ${Buffer.from(bytes).toString('hex')}`, { cause: error });
    }
    tally.slowestMs = Math.max(tally.slowestMs, performance.now() - startMs);
    if (reason === undefined) tally.taken += 1;
    else tally.refused[reason] = (tally.refused[reason] ?? 0) + 1;
  }
  return tally;
}

function fuzzMessages(seed: number, from: number, to: number): Tally {
  const messages = goldenMessages();
  const draw = drawBySize(messages);
  return fuzz(seed, from, to, (random) => {
    const bytes = mutateMessage(draw(random), random, messages);
    return { bytes, check: () => checkMessage(bytes) };
  });
}

/** All golden messages there are, of every version that is still read. */
export function goldenMessages(): Message[] {
  return readdirSync(GOLDEN, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.cbor'))
    .map((name) => messageOf(name, new Uint8Array(readFileSync(new URL(name, GOLDEN)))));
}

const SHARES = 1000;

/** A long message less often, as it takes longer: each kind gets about the same time. */
function drawBySize(messages: readonly Message[]): (random: Random) => Message {
  const weights = messages.map(({ bytes }) => 1 / (500 + bytes.length));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const lots = messages.flatMap((message, at) =>
    Array<Message>(Math.max(1, Math.round((SHARES * weights[at]!) / sum))).fill(message),
  );
  return (random) => lots[random(lots.length)]!;
}

/** Why it is refused; undefined when it is read as what can be encoded and read again. */
function checkMessage(bytes: Uint8Array): string | undefined {
  const header = peekHeader(bytes);
  const result = decodeBatch(bytes);
  if (!result.ok) return result.reason;
  const { batch } = result;
  if (header?.batchSeq !== batch.batchSeq || header.node !== batch.node) throw new Error('peeked at another header');
  const { rows, again } = readAgain(batch);
  const fields = eventByName(batch.type)!.fields;
  if (rows.length !== batch.rows || again.length !== rows.length) throw new Error('another number of rows');
  for (const [at, row] of rows.entries()) {
    for (const { name } of fields) {
      if (row[name] !== again[at]![name])
        throw new Error(`row ${at}: ${name} = ${row[name]}, then ${again[at]![name]}`);
    }
  }
  return undefined;
}

function readAgain(batch: Batch) {
  const rows = rowsOf(batch);
  const { node, boot, probeEpoch, batchSeq } = batch;
  const encoded = encodeBatch(eventByName(batch.type)!, { node, boot, probeEpoch, batchSeq }, rows);
  const result = decodeBatch(encoded);
  if (!result.ok) throw new Error(`what was read is refused when written again: ${result.detail}`);
  return { rows, again: rowsOf(result.batch) };
}

const decoders = new Map(
  KERNEL_RECORDS.map((definition) => [definition.id, { definition, decode: ringDecoder(definition) }]),
);

function fuzzRecords(seed: number, from: number, to: number): Tally {
  return fuzz(seed, from, to, (random) => {
    const bytes = damagedRecord(KERNEL_RECORDS[random(KERNEL_RECORDS.length)]!, random);
    return { bytes, check: () => checkRecord(bytes) };
  });
}

function checkRecord(bytes: Uint8Array): string | undefined {
  const record = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const known = decoders.get(readRecordHead(record)?.type ?? 0);
  const row = known?.decode(record);
  const refusal = ringRefusal(record, known?.definition);
  if ((row === undefined) !== (refusal !== undefined)) throw new Error(`${row ? 'read' : 'refused'}, for ${refusal}`);
  if (row === undefined || known === undefined) return refusal;
  const written = writeRecord(known.definition, row);
  const again = known.decode(new DataView(written.buffer, written.byteOffset, written.byteLength));
  for (const { name } of known.definition.fields) {
    if (row[name] !== again?.[name]) throw new Error(`${name} = ${row[name]}, then ${again?.[name]}`);
  }
  return undefined;
}
