/** Containers as they are shown: what their runtimes, and Kubernetes, told the probes of them. */
import { z } from '@hono/zod-openapi';
import { timeText } from './time.ts';

const orNull = z.string().min(1).nullable();

const namesShape = {
  name: orNull.describe(
    'As its runtime calls it; in Kubernetes within the pod, POD for the one that holds its namespaces.',
  ),
  image_ref: orNull.describe('The image as whoever started it named it; its digest is `image`.'),
  namespace: orNull.describe('Of Kubernetes.'),
  pod: orNull,
};

/** Beside an event or a finding, which have its id and the image's digest already. */
export const containerNames = z
  .object(namesShape)
  .nullable()
  .describe('What was true of its container at that time, also where it was told later; null where nobody told.');

export type ContainerNames = z.infer<typeof containerNames>;

/** One that ran the content asked for. */
export const containerUse = z
  .object({
    node: z.string(),
    container_id: z.string(),
    workload: z.string(),
    image: orNull.describe('Digest.'),
    ...namesShape,
    count: z.int().describe('How often it ran there, as far as events are kept.'),
    first_seen: timeText,
    last_seen: timeText,
  })
  .openapi('ContainerUse');

export const containerAnswer = z
  .object({
    node: z.string(),
    container_id: z.string(),
    runtime: z.string(),
    ...namesShape,
    image: orNull.describe('Digest of the image, as in events.'),
    image_id: orNull.describe('Digest of its configuration on that node.'),
    labels: z.record(z.string(), z.string()).describe('Empty without any, and where they take more than 8 KiB.'),
    workload: z.string().describe('As in its events.'),
    deployed_as: orNull.describe(
      'The workload by its names: another one than in its events where the runtime answered too late for those.',
    ),
    created: timeText.nullable().describe('When its runtime made it.'),
    ended: timeText.nullable().describe('By then nothing ran in it any more; null where no end was seen.'),
    running: z
      .boolean()
      .nullable()
      .describe(
        'null where nobody can say: no end was seen, and its node is silent, or a later probe has not told of it.',
      ),
    told_at: timeText.describe('When the probe was told so.'),
    told_by: z.string().describe('Who said so: runtimes and their sockets.'),
  })
  .openapi('Container');

export type ContainerAnswer = z.infer<typeof containerAnswer>;
