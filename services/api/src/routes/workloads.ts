import type { Role } from '@bintrail/schemas/digest-words.ts';
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
  workloadParam,
} from '../answers.ts';
import { coverageSchema } from '../coverage-answer.ts';
import type { App, Deps } from '../deps.ts';
import { countOf, executableAnswer, executableFields, imagesOf } from '../executable-answer.ts';
import { firstSeenSince, pin, pinnedTime } from '../first-seen.ts';
import { openPage, type PageQuery, pageParams } from '../page.ts';
import { notFound } from '../problem.ts';
import type { Judged } from '../queries/binaries.ts';
import { windowCoverage } from '../queries/coverage.ts';
import { type RefsOf, readImageRefs } from '../queries/image-refs.ts';
import {
  isKnownWorkload,
  listExecutables,
  listWorkloads,
  MAX_NAMES,
  MAX_PART,
  readHabits,
} from '../queries/workloads.ts';
import { timeParam, timeText } from '../time.ts';

const names = z.array(z.string()).describe(`At most ${MAX_NAMES}.`);
const counts = z.record(z.string(), z.int());

const workloadAnswer = z
  .object({
    workload: z.string(),
    exec_count: z.int(),
    binary_count: z.int().describe('Different contents.'),
    digest_ratio: z.number().min(0).max(1).describe('Share of what was executed that carries a digest.'),
    nodes: names,
    node_count: z.int(),
    images: names,
    image_count: z.int(),
    first_seen: timeText,
    last_seen: timeText,
  })
  .openapi('Workload');

const executable = z
  .object({
    sha256: z.string().nullable(),
    reason: z
      .string()
      .nullable()
      .describe('Why there is no digest: then this is all that ran at its path without one.'),
    count: z.int(),
    ...executableFields,
  })
  .openapi('Executable');

const profileAnswer = z
  .object({
    workload: z.string(),
    executables: z.array(executable).describe('A page, in the order of digests; those without one come first.'),
    next_cursor: z.string().nullable().describe('Pass as `cursor` for more executables.'),
    parents: z
      .array(z.object({ parent_path: z.string(), path: z.string(), role: z.string(), count: z.int() }))
      .describe('Who starts what; the empty parent path is one the probe did not know.'),
    users: z.array(z.object({ uid: z.int(), count: z.int() })),
    nodes: z.array(z.object({ node: z.string(), count: z.int() })),
    images: z.array(z.object({ image: z.string(), count: z.int() })),
    digests: z
      .object({
        ratio: z.number().min(0).max(1).nullable().describe('Share with a digest; null where nothing was executed.'),
        strengths: counts.describe('Sightings by strength of the digest.'),
        missing: counts.describe('Sightings without one, by reason.'),
      })
      .describe('How much of it is known by content.'),
    setup_count: z
      .int()
      .describe('Starts of the container runtime itself in this workload, to set containers up: in no other count.'),
    truncated: z.boolean().describe(`Parents, users, nodes or images are the ${MAX_PART} most frequent ones only.`),
    coverage: coverageSchema,
    policy_revision: z.int(),
  })
  .openapi('Profile');

const TAGS = { tags: ['workloads'] };
const windowParams = { since: timeParam.optional(), until: timeParam.optional() };

const list = createRoute({
  method: 'get',
  path: '/v1/workloads',
  ...TAGS,
  operationId: 'listWorkloads',
  summary: 'What was deployed and ran, in the order of ids',
  ...needs('viewer'),
  request: {
    query: querySchema({
      workload: workloadParam.optional().describe('A workload id, or a prefix that ends in *.'),
      node: nodeParam.optional(),
      image: z.string().min(1).max(512).optional().describe('Image digest as events show it.'),
      ...windowParams,
      ...pageParams,
    }),
  },
  responses: { 200: json(listOf(workloadAnswer), 'A page of workloads.'), ...problems(...READ_PROBLEMS) },
});

const profileParams = {
  role: roleParam.optional(),
  ...windowParams,
  first_seen_since: timeParam.optional().describe('Of the executables only those this workload did not run before.'),
  ...pageParams,
};

const PROFILE = {
  method: 'get',
  ...TAGS,
  summary: 'What a workload runs, who starts it, as whom and where',
  description: 'Counted by the hour: `since` and `until` take in the whole hours at their ends.',
  ...needs('viewer'),
  responses: { 200: json(profileAnswer, 'The profile.'), ...problems(...READ_PROBLEMS, 404) },
} as const;

const profile = createRoute({
  ...PROFILE,
  path: '/v1/workloads/{id}/profile',
  operationId: 'getProfile',
  request: { params: z.object({ id: workloadParam }), query: querySchema(profileParams) },
});

const profileByQuery = createRoute({
  ...PROFILE,
  path: '/v1/workloads/profile',
  operationId: 'getProfileByQuery',
  description: `The same by query parameter, for proxies that decode %2F. ${PROFILE.description}`,
  request: { query: querySchema({ workload: workloadParam, ...profileParams }) },
});

const hex = z.string().regex(/^(?:[0-9A-F]{2})*$/);
const executableKey = z.tuple([z.tuple([z.string().regex(/^[0-9a-f]{64}$/), hex, hex]), pinnedTime]);

export function workloadsRoutes(app: App): void {
  app.openapi(list, async (c) => {
    const { deps } = c.var;
    const query = c.req.valid('query');
    const page = openPage('workloads', query, hex, deps.clock());
    const { workload: pattern, node, image } = query;
    const scope = { node, image, window: page.window };
    const ofWorkload = pattern?.endsWith('*') ? undefined : pattern;
    const [{ workloads, next }, coverage] = await Promise.all([
      listWorkloads(deps.store, { scope, pattern, after: page.after, limit: page.limit }),
      windowCoverage(deps.store, { ...page.window, node, workload: ofWorkload }),
    ]);
    const next_cursor = next === undefined ? null : page.next(next);
    return c.json({ items: workloads, next_cursor, coverage, policy_revision: deps.approvals.revision() }, 200);
  });

  app.openapi(profile, async (c) => {
    return c.json(await profileOf(c.var.deps, c.req.valid('param').id, c.req.valid('query')), 200);
  });

  app.openapi(profileByQuery, async (c) => {
    const { workload, ...query } = c.req.valid('query');
    return c.json(await profileOf(c.var.deps, workload, query), 200);
  });
}

type ProfileQuery = PageQuery & { readonly role?: Role | undefined; readonly first_seen_since?: string | undefined };

async function profileOf(deps: Deps, workload: string, query: ProfileQuery): Promise<z.infer<typeof profileAnswer>> {
  const { store, approvals, clock } = deps;
  const nowMs = clock();
  const page = openPage(`profile ${workload}`, query, executableKey, nowMs);
  const [after, pinned] = page.after ?? [];
  const firstSeenSinceNs = firstSeenSince(query.first_seen_since, pinned, nowMs);
  const scope = { workload, window: page.window };
  const policy_revision = approvals.revision();
  const judging = { approvals: approvals.compiled(), nowMs };
  const [isKnown, { executables, next }, habits, coverage] = await Promise.all([
    isKnownWorkload(store, workload),
    listExecutables(
      store,
      { scope: { ...scope, role: query.role }, firstSeenSinceNs, after, limit: page.limit },
      judging,
    ),
    readHabits(store, scope),
    windowCoverage(store, { ...page.window, workload }),
  ]);
  if (!isKnown) throw notFound('workload with this id');
  const next_cursor = next === undefined ? null : page.next([next, pin(firstSeenSinceNs)]);
  const refsOf = await readImageRefs(store, imagesOf(executables));
  const shown = executables.map((executable) => answerOf(executable, refsOf));
  return { workload, executables: shown, next_cursor, ...habits, coverage, policy_revision };
}

function answerOf(executable: Judged, refsOf: RefsOf) {
  const { seen } = executable;
  const { sha256, digest_reason } = seen[0]!.sighting;
  return {
    sha256: sha256 === '' ? null : sha256,
    reason: digest_reason === '' ? null : digest_reason,
    count: countOf(seen),
    ...executableAnswer(executable, refsOf),
  };
}
