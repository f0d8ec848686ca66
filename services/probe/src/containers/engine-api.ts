/**
 * The API that Docker and Podman both serve at a socket (Docker Engine API 1.41, ContainerInspect and ImageInspect; podman
 * system service(1)). Only the host's own sockets are asked: what a user's service says of itself is the user's word.
 */
import type { Agent as HttpAgent } from 'node:http';
import { Agent, request } from '@bintrail/runtime/http.ts';
import { createLru } from '@bintrail/runtime/lru.ts';
import {
  type ContainerFacts,
  type ContainerSource,
  containerWorkload,
  imageDigest,
  labelsText,
  textOf,
} from './facts.ts';

/** An inspected container takes some 5 KB; an answer beyond this is none. */
const MAX_ANSWER_BYTES = 1024 * 1024;
const MAX_IMAGES = 1_024;

export function openEngineApi(runtime: string, socketPath: string): ContainerSource {
  const agent = new Agent({ keepAlive: true, maxSockets: 4, timeout: 10_000 });
  const ask = (path: string, signal: AbortSignal) => getJson({ agent, socketPath, path, signal });
  const digests = createLru<string, string>(MAX_IMAGES);

  /** Of the manifest, by which registries and attestations name an image; its own id where it never had one. */
  const digestOf = async (imageId: string, reference: string, signal: AbortSignal): Promise<string> => {
    const key = `${imageId} ${reference}`;
    const known = digests.touch(key);
    if (known !== undefined || imageId === '') return known ?? '';
    const image = await ask(`/images/${encodeURIComponent(imageId)}/json`, signal);
    const all = Array.isArray(image?.RepoDigests) ? image.RepoDigests.map(textOf) : [];
    const [repository = ''] = reference.split(/@|:(?=[^/]*$)/);
    const found = imageDigest(all.find((one) => one.startsWith(`${repository}@`)) ?? all[0] ?? '') || imageId;
    digests.set(key, found);
    return found;
  };
  const find = async (id: string, signal: AbortSignal): Promise<ContainerFacts | undefined> => {
    const answer = await ask(`/containers/${encodeURIComponent(id)}/json`, signal);
    if (answer === undefined || answer.Id !== id) return undefined;
    const config = (answer.Config ?? {}) as Record<string, unknown>;
    const name = textOf(answer.Name).replace(/^\//, '');
    const [imageRef, imageId] = [textOf(config.Image), imageDigest(textOf(answer.Image))];
    return {
      ...{ name, imageRef, imageId, namespace: '', pod: '', podTeller: '' },
      deployedAs: name === '' ? '' : containerWorkload(runtime, name),
      image: await digestOf(imageId, imageRef, signal),
      labels: labelsText(config.Labels),
      createdNs: timeNs(textOf(answer.Created)),
    };
  };
  return { name: `${runtime}=${socketPath}`, runtimes: [runtime, 'oci'], find, close: () => agent.destroy() };
}

function timeNs(text: string): bigint {
  const ms = Date.parse(text);
  return ms > 0 ? BigInt(ms) * 1_000_000n : 0n;
}

type Question = {
  readonly agent: HttpAgent;
  readonly socketPath: string;
  readonly path: string;
  readonly signal: AbortSignal;
};

/** The object that was answered; undefined for what the engine does not have (404). Rejects for everything else. */
function getJson({ path, ...options }: Question): Promise<Record<string, unknown> | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ ...options, path, headers: { host: 'localhost' } }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) response.destroy(new Error(`more than ${MAX_ANSWER_BYTES} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 404) return resolve(undefined);
        if (response.statusCode !== 200) return reject(new Error(`${path} answered ${response.statusCode}`));
        try {
          const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
          if (typeof value === 'object' && value !== null) resolve(value as Record<string, unknown>);
          else reject(new Error(`${path} answered no object`));
        } catch (error) {
          reject(error);
        }
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}
