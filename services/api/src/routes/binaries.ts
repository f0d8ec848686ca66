import { VERDICTS } from '@bintrail/schemas/sighting.ts';
import { createRoute, z } from '@hono/zod-openapi';
import {
  json,
  listOf,
  needs,
  nodeParam,
  problems,
  querySchema,
  READ_PROBLEMS,
  roleParam,
  sha256Param,
  workloadParam,
} from '../answers.ts';
import { containerUse } from '../container-answer.ts';
import { coverageSchema } from '../coverage-answer.ts';
import type { App, Deps } from '../deps.ts';
import { executableAnswer, executableFields, firstOf, imagesOf, MAX_NAMES, tally } from '../executable-answer.ts';
import { firstSeenSince, pin, pinnedTime } from '../first-seen.ts';
import { openPage, pageParams } from '../page.ts';
import { notFound } from '../problem.ts';
import { type Binary, listBinaries, readBinary } from '../queries/binaries.ts';
import { MAX_CONTAINERS, readContainerUses } from '../queries/container-uses.ts';
import { windowCoverage } from '../queries/coverage.ts';
import { type RefsOf, readImageRefs } from '../queries/image-refs.ts';
import { readRunning, runningAnswer } from '../queries/running.ts';
import { timeParam, windowOf } from '../time.ts';

const names = z.array(z.string()).describe(`The most frequent first, at most ${MAX_NAMES}.`);

const binaryAnswer = z
  .object({
    sha256: z.string(),
    exec_count: z.int().describe('How often it ran, in whatever role.'),
    ...executableFields,
    workloads: names,
    workload_count: z.int(),
    nodes: names,
    node_count: z.int(),
  })
  .openapi('Binary');

const binaryDetail = binaryAnswer
  .extend({
    containers: z
      .array(containerUse)
      .describe(`That ran it in the window, as far as events are kept; the last first, at most ${MAX_CONTAINERS}.`),
    container_count: z.int(),
    running: runningAnswer,
    coverage: coverageSchema,
    policy_revision: z.int(),
  })
  .openapi('BinaryDetail');

const TAGS = { tags: ['binaries'] };
const HOURS =
  'Sightings are counted by the hour: `since` and `until` take in the whole hours at their ends, where there is ' +
  'anything of the window in them.';

const placeParams = {
  workload: workloadParam.optional(),
  node: nodeParam.optional(),
  image: z.string().min(1).max(512).optional().describe('Image digest as events show it.'),
  since: timeParam.optional(),
  until: timeParam.optional(),
};

const list = createRoute({
  method: 'get',
  path: '/v1/binaries',
  ...TAGS,
  operationId: 'listBinaries',
  summary: 'What ran, one item per content, in the order of digests',
  description:
    `Verdict, counts, names and times are of the sightings asked for. ${HOURS} With \`node\`, counts by verdict and ` +
    'strength may include those of another kind of sighting of the same path in the same hour.',
  ...needs('viewer'),
  request: {
    query: querySchema({
      verdict: z.enum(VERDICTS).optional(),
      package: z.string().min(1).max(512).optional().describe('A name, or manager:name:architecture.'),
      path: z.string().min(1).max(4096).optional().describe('Exact, or a prefix that ends in *.'),
      role: roleParam.optional(),
      ...placeParams,
      first_seen_since: timeParam.optional().describe('Not seen before that in what is asked for, at any time.'),
      ...pageParams,
    }),
  },
  responses: { 200: json(listOf(binaryAnswer), 'A page of binaries.'), ...problems(...READ_PROBLEMS) },
});

const get = createRoute({
  method: 'get',
  path: '/v1/binaries/{sha256}',
  ...TAGS,
  operationId: 'getBinary',
  summary: 'One content, and where it runs now',
  description: `${HOURS} \`running\` is of now, in the workload and on the node asked for.`,
  ...needs('viewer'),
  request: { params: z.object({ sha256: sha256Param }), query: querySchema(placeParams) },
  responses: { 200: json(binaryDetail, 'The binary.'), ...problems(...READ_PROBLEMS, 404) },
});

const binaryKey = z.tuple([z.string().regex(/^[0-9a-f]{64}$/), pinnedTime]);

export function binariesRoutes(app: App): void {
  app.openapi(list, async (c) => {
    const { deps } = c.var;
    const { verdict, first_seen_since, limit: _limit, cursor: _cursor, ...place } = c.req.valid('query');
    const page = openPage('binaries', c.req.valid('query'), binaryKey, deps.clock());
    const [after, pinned] = page.after ?? [];
    const firstSeenSinceNs = firstSeenSince(first_seen_since, pinned, deps.clock());
    const scope = { ...place, window: page.window };
    const { limit } = page;
    const policy_revision = deps.approvals.revision();
    const [{ binaries, next }, coverage] = await Promise.all([
      listBinaries(deps.store, { scope, verdict, firstSeenSinceNs, after, limit }, judgingOf(deps)),
      windowCoverage(deps.store, { ...page.window, node: place.node, workload: place.workload }),
    ]);
    const next_cursor = next === undefined ? null : page.next([next, pin(firstSeenSinceNs)]);
    const refsOf = await readImageRefs(deps.store, imagesOf(binaries));
    const items = binaries.map((binary) => answerOf(binary, refsOf));
    return c.json({ items, next_cursor, coverage, policy_revision }, 200);
  });

  app.openapi(get, async (c) => {
    const { deps } = c.var;
    const { sha256 } = c.req.valid('param');
    const place = c.req.valid('query');
    const window = windowOf(place, deps.clock());
    const scope = { ...place, window };
    const policy_revision = deps.approvals.revision();
    const [binary, running, uses, coverage] = await Promise.all([
      readBinary(deps.store, sha256, scope, judgingOf(deps)),
      readRunning(deps.store, sha256, scope, deps.clock()),
      readContainerUses(deps.store, sha256, scope),
      windowCoverage(deps.store, { ...window, node: place.node, workload: place.workload }),
    ]);
    if (binary === undefined) throw notFound('binary with this digest in what was asked for');
    const refsOf = await readImageRefs(deps.store, imagesOf([binary]));
    const containers = { containers: [...uses.containers], container_count: uses.count };
    return c.json({ ...answerOf(binary, refsOf), ...containers, running, coverage, policy_revision }, 200);
  });
}

function answerOf(binary: Binary, refsOf: RefsOf) {
  const { sha256, seen, execCount, nodes, nodeCount } = binary;
  const workloads = tally(seen, ({ workload }) => workload);
  return {
    sha256,
    exec_count: execCount,
    ...executableAnswer(binary, refsOf),
    workloads: firstOf(workloads),
    workload_count: workloads.size,
    nodes: [...nodes],
    node_count: nodeCount,
  };
}

function judgingOf({ approvals, clock }: Deps) {
  return { approvals: approvals.compiled(), nowMs: clock() };
}
