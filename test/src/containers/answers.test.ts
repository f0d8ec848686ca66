/** From a real container to the analyst: what it dropped and ran, with its name and image in every answer and in Slack. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { type ApiServer, NODE, openApiServer } from '@bintrail/probe/kubernetes/api-server.fixture.ts';
import { type Bintrail, eventually, startBintrail } from '../e2e/bintrail.ts';
import { startSlackReceiver } from '../slack-receiver.ts';
import { openPodman, type Podman, servePodman, TOOL, whyNoContainers } from './podman-kit.ts';

const skip = whyNoContainers() ?? false;
const WORKLOAD = 'container/podman/shop-till';
let pod: Podman;
let service: Awaited<ReturnType<typeof servePodman>>;
let slack: Awaited<ReturnType<typeof startSlackReceiver>>;
let cluster: ApiServer;
let bintrail: Bintrail;

before(async () => {
  if (skip) return;
  pod = await openPodman();
  service = await servePodman(pod);
  slack = await startSlackReceiver();
  cluster = await openApiServer();
  const env = {
    ...{ SLACK_WEBHOOK_URL: slack.url, BINTRAIL_CONTAINER_SOCKETS: `podman=${service.socket}` },
    ...{ BINTRAIL_KUBERNETES: cluster.access.server.href, BINTRAIL_KUBERNETES_NODE: NODE },
    BINTRAIL_KUBERNETES_ACCOUNT: dirname(cluster.access.tokenPath),
  };
  bintrail = await startBintrail(join(pod.folder, 'home'), env);
  // Many findings at once are told in one message, which has a line for each: what else runs here is none of this.
  await approve('allow', '*', 'host');
  await approve('allow', '*', 'container/*');
  await approve('deny', '/dropped', WORKLOAD);
});

after(async () => {
  const code = await (bintrail as Bintrail | undefined)?.stop();
  await (slack as typeof slack | undefined)?.close();
  await (cluster as ApiServer | undefined)?.close();
  await (service as typeof service | undefined)?.close();
  await (pod as Podman | undefined)?.close();
  if (!skip) assert.equal(code, 0);
});

async function approve(effect: string, path: string, workload: string): Promise<void> {
  const approval = { match: { path }, effect, scope: { workload }, reason: 'tried here' };
  assert.equal((await bintrail.send('POST', '/v1/approvals', approval)).status, 201);
}

const items = async (path: string) => (await bintrail.get(path)).json.items;

test('every answer names the container, its image and its digest', { skip, timeout: 90_000 }, async () => {
  const digest = await pod.podman('image', 'inspect', '--format', '{{.Digest}}', pod.image);
  const script = `cp ${TOOL} /dropped; echo ${Date.now()} >> /dropped; chmod +x /dropped; /dropped true; sleep 60`;
  const id = await pod.podman(
    'run',
    '-d',
    '--name',
    'shop-till',
    '--label',
    'team=shop',
    pod.image,
    '/bin/sh',
    '-c',
    script,
  );
  const names = { name: 'shop-till', image_ref: pod.image, namespace: null, pod: null };

  const finding = await eventually('the finding', 20_000, async () =>
    (await items(`/v1/findings?limit=1000&workload=${encodeURIComponent(WORKLOAD)}`)).find(
      ({ path }: { path: string }) => path === '/dropped',
    ),
  );
  assert.deepEqual([finding.evidence.container, finding.evidence.image], [{ id, ...names }, digest]);
  const about = (text: string) => slack.messages.map((each) => JSON.stringify(each)).find((one) => one.includes(text));
  const message = await eventually('the message', 15_000, async () => about(finding.sha256));
  assert.match(message, /container `shop-till`/);
  assert.ok(message.includes(`image \`${pod.image}\` \`${digest}\``), message);

  const container = await eventually('the container', 15_000, async () =>
    (await items(`/v1/containers?container_id=${id}`)).find(({ running }: { running: unknown }) => running),
  );
  assert.deepEqual(
    [container.name, container.image_ref, container.image, container.labels, container.running, container.workload],
    ['shop-till', pod.image, digest, { team: 'shop' }, true, WORKLOAD],
  );
  const event = await eventually('the event', 15_000, async () => {
    const found = await items(`/v1/events?type=exec&container_id=${id.slice(0, 12)}*&path=%2Fdropped`);
    return found.find(({ sha256 }: { sha256: unknown }) => sha256 !== null);
  });
  assert.deepEqual([event.container, event.sha256, event.image], [names, finding.sha256, digest]);
  const { json: binary } = await bintrail.get(`/v1/binaries/${finding.sha256}`);
  assert.deepEqual(
    [binary.container_count, binary.containers[0].container_id, binary.containers[0].name],
    [1, id, 'shop-till'],
  );
  assert.deepEqual(binary.image_refs, [pod.image]);
  await pod.podman('rm', '-f', '-t', '0', id);
});

test('the probe watches the pods of its node as it is told to, with a token that root alone may read', {
  skip,
  timeout: 30_000,
}, async () => {
  assert.equal(statSync(cluster.access.tokenPath).mode & 0o077, 0);
  await eventually('the watch', 10_000, async () => (cluster.watches() === 1 ? true : undefined));
  const [list] = cluster.requests;
  assert.deepEqual(
    [list?.pathname, list?.searchParams.get('fieldSelector')],
    ['/api/v1/pods', `spec.nodeName=${NODE}`],
  );
});
