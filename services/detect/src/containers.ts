/** What container runtimes told the probes of their containers, by id: a finding names the one it was seen in. */
import { createLru, type Lru } from '@bintrail/runtime/lru.ts';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import type { FindingContainer } from '@bintrail/schemas/finding.ts';
import { readTexts } from './column-reader.ts';

export type ContainerIndex = Lru<string, FindingContainer>;

/**
 * Some 500 bytes each: 32 MB when full. After a restart it is empty, and so are the names in findings of containers that
 * started before it; whoever shows a finding asks the store for them.
 */
const MAX_CONTAINERS = 65_536;

export function createContainerIndex(): ContainerIndex {
  return createLru(MAX_CONTAINERS);
}

/** The containers that the messages of a plan tell of, the newest word of each. Texts are printable. */
export function containersOf(batches: readonly Batch[]): Map<string, FindingContainer> {
  const told = new Map<string, FindingContainer>();
  for (const batch of batches) {
    if (batch.type !== 'container') continue;
    const [id, name, imageRef] = [
      texts(batch, 'container_id'),
      texts(batch, 'container_name'),
      texts(batch, 'image_ref'),
    ];
    const [namespace, pod] = [texts(batch, 'namespace'), texts(batch, 'pod')];
    for (let row = 0; row < batch.rows; row++) {
      const container = { name: name(row), image_ref: imageRef(row), namespace: namespace(row), pod: pod(row) };
      told.set(id(row), { id: id(row), ...container });
    }
  }
  return told;
}

/** The container that a row of an event speaks of; undefined outside containers. */
export function containerAt(
  batch: Batch,
  row: number,
  find: (id: string) => FindingContainer | undefined,
): FindingContainer | undefined {
  const id = texts(batch, 'container_id')(row);
  if (id === '') return undefined;
  return find(id) ?? { id, name: '', image_ref: '', namespace: '', pod: '' };
}

function texts(batch: Batch, name: string): (row: number) => string {
  return readTexts(batch, name).at;
}
