/** The container a finding was seen in: detect says what it knew when it published, and more may have been told since. */
import type { Store } from '@bintrail/runtime/store.ts';
import type { Evidence } from '@bintrail/schemas/finding.ts';
import { readContainerNames } from '../queries/container-names.ts';

type Seen = { readonly node: string; readonly tsNs: bigint; readonly evidence: Pick<Evidence, 'container'> };

/** The same findings, by what is known of their containers now. */
export async function withContainers<S extends Seen>(store: Store, findings: readonly S[]): Promise<S[]> {
  const asked = findings.map(({ node, tsNs, evidence }) => ({ node, tsNs, id: evidence.container?.id ?? '' }));
  const namesAt = await readContainerNames(store, asked);
  return findings.map((finding, index) => {
    const [{ container }, names] = [finding.evidence, namesAt(asked[index]!)];
    if (container === undefined || names === null) return finding;
    const { name, image_ref, namespace, pod } = names;
    const told = { name: name ?? '', image_ref: image_ref ?? '', namespace: namespace ?? '', pod: pod ?? '' };
    return { ...finding, evidence: { ...finding.evidence, container: { id: container.id, ...told } } };
  });
}
