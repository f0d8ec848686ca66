import type { Row } from '../events-out.ts';
import type { ContainerTold } from './names.ts';

/** A `container` event; `ts` and its place in the stream are the caller's. */
export function containerRow(
  told: ContainerTold,
  identity: Pick<Row<'container'>, 'ts' | 'stream' | 'seq'>,
): Row<'container'> {
  const { container, workload, facts, source, validFromNs, validUntilNs } = told;
  return {
    ...identity,
    ...{ container_id: container.containerId, runtime: container.runtime, workload },
    ...{ deployed_as: facts.deployedAs, container_name: facts.name, namespace: facts.namespace, pod: facts.pod },
    ...{ image: facts.image, image_id: facts.imageId, image_ref: facts.imageRef, labels: facts.labels },
    ...{
      told_by: facts.podTeller === '' ? source : `${source},${facts.podTeller}`,
      valid_from: validFromNs,
      valid_until: validUntilNs,
    },
  };
}
