/** The OpenAPI 3.1 document, made from the routes of an app. */
import type { App } from './deps.ts';

const DESCRIPTION = `What ran, exactly which bytes were they, what does this workload normally run, and who approved that?

**Access.** \`Authorization: Bearer bt_<id>_<secret>\`. Roles: \`viewer\` reads, \`analyst\` also approves and works on
findings, \`admin\` also makes and revokes tokens. Each token may ask 100 times a second in the long run and 400 times at
once.

**Errors** are RFC 9457 problem details; \`errors\` points at each faulty parameter.

**Times** are RFC 3339 in UTC; parameters also take \`now\`, \`now-15m\`, \`now-24h\`, \`now-7d\`. A window holds its
\`since\` and not its \`until\`.

**Lists** answer \`{items, next_cursor, coverage, policy_revision}\`. Pass \`next_cursor\` as \`cursor\`, with the same
filters, for the next page. A page may be short or empty and still have a next one.

**Names.** Digests are SHA-256 in lower-case hex. Bytes that are not UTF-8, and control characters, are shown as
\`\\xNN\`. Workload ids contain \`/\`: percent-encode them in a path, or use the query parameter.`;

const TAGS = {
  binaries: 'What ran, by content: verdict, where it was seen, where it runs.',
  workloads: 'What each workload normally runs.',
  events: 'What happened, one by one, and the processes around it.',
  containers: 'Which container, pod and image it was.',
  coverage: 'How much was seen, and by which probes.',
  findings: 'What somebody should look at, and what was done about it.',
  approvals: 'What is allowed and what is denied, where, until when, and why.',
  audit: 'Who changed what.',
  tokens: 'Who may ask what.',
  operation: 'How Bintrail itself is.',
} as const;

/** Once per app: it adds the security scheme to the app's registry. */
export function describeApi(app: App): { openapi: string } {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'bt_<id>_<secret>',
  });
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Bintrail',
      version: '1',
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    servers: [{ url: '/' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
  });
}
