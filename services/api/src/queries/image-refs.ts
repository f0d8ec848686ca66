/** What images are called by whoever starts containers from them. */
import type { Store } from '@bintrail/runtime/store.ts';
import { shown } from '../findings/subject.ts';

/** The most frequent first, at most {@link MAX_REFS}. */
export type RefsOf = (image: string) => readonly string[];

const MAX_REFS = 20;
// A digest takes 71 bytes, and a parameter of ClickHouse 128 KiB.
const CHUNK = 1_000;

export async function readImageRefs(store: Store, images: Iterable<string>): Promise<RefsOf> {
  const refs = new Map<string, string[]>();
  const asked = [...new Set(images)].filter((image) => image !== '');
  for (let at = 0; at < asked.length; at += CHUNK) {
    // Summed by a projection (migration 0014): a fleet tells of its few images all the time.
    const rows = await store.query<{ image: string; ref_hex: string }>(
      `SELECT image, hex(image_ref) AS ref_hex, count() AS told FROM container_events
       WHERE image IN (SELECT arrayJoin({images:Array(String)})) AND image_ref != ''
       GROUP BY image, image_ref ORDER BY image, told DESC, image_ref LIMIT ${MAX_REFS} BY image`,
      { images: asked.slice(at, at + CHUNK) },
    );
    for (const { image, ref_hex } of rows) refs.set(image, [...(refs.get(image) ?? []), shown(ref_hex)]);
  }
  return (image) => refs.get(image) ?? [];
}
