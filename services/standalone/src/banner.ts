/** What a newcomer reads when everything is up. Every command works as it is pasted, from any folder. */

/** In front of every line a replay prints. */
export const REPLAY_MARK = '[replay]';

export type Facts = {
  readonly url: string;
  /** What the probe reported; undefined in a replay, which has none. */
  readonly probe: { readonly hooks: string; readonly marks: number } | undefined;
  /** null where the admin token comes from the settings. */
  readonly tokenPath: string | null;
  readonly tokenNote: string;
  readonly homeDir: string;
  readonly store: string;
  readonly slack: boolean;
};

export function banner(facts: Facts): string {
  const { url, tokenPath } = facts;
  const token = tokenPath === null ? '<your token>' : `$(cat '${tokenPath.replaceAll("'", "'\\''")}')`;
  const curl = (path: string) => `  curl -s -H "Authorization: Bearer ${token}" '${url}${path}'`;
  return [
    '',
    ...what(facts.probe),
    '',
    `  API      ${url}    documentation: ${url}/docs`,
    `  token    ${tokenPath ?? 'from BINTRAIL_ADMIN_TOKEN_HASH'}${facts.tokenNote && ` (${facts.tokenNote})`}`,
    `  data     ${facts.homeDir}`,
    `  store    ${facts.store}`,
    `  Slack    ${facts.slack ? 'on' : 'off: set SLACK_WEBHOOK_URL to be paged'}`,
    '',
    'What nobody approved and no package explains:',
    curl('/v1/findings?state=open'),
    'What ran in the last quarter of an hour:',
    curl('/v1/events?type=exec&since=now-15m&limit=20'),
    'How much was missed:',
    curl('/v1/coverage?since=now-1h'),
    '',
    'New findings appear below. Ctrl-C ends it; the next start goes on with the same data.',
    '',
  ].join('\n');
}

function what(probe: Facts['probe']): string[] {
  if (probe !== undefined) {
    return [`Bintrail is watching this host (${probe.hooks} hooks, ${probe.marks} filesystems marked).`];
  }
  return [
    `${REPLAY_MARK} This is a replay: a recorded sample of real events runs through Bintrail within 20 s.`,
    `${REPLAY_MARK} Nothing below happened on this host; its node is called replay:sample-host everywhere.`,
  ];
}
