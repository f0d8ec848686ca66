/**
 * What Slack says when an incoming webhook refuses for good, and what to do about it. Sources: Slack's changelog of
 * 2016-05-17 (status and words), docs.slack.dev "Sending messages using incoming webhooks", "Handling errors".
 */

/** `message`: only this message is at fault, others may go on. `webhook`: every message would be refused. */
export type RejectionScope = 'message' | 'webhook';
type Rejection = { readonly scope: RejectionScope; readonly remedy: string };

const NEW_WEBHOOK = 'The webhook is gone: make a new one in Slack, set SLACK_WEBHOOK_URL and restart.';
const ASK_ADMIN = 'An administrator of the Slack workspace must allow this webhook to post to its channel.';
const OTHER_CHANNEL = 'Unarchive the channel, or make a webhook for another one, set SLACK_WEBHOOK_URL and restart.';
const OUR_FAULT = 'Slack did not accept the form of the message: please report this as a bug of Bintrail.';

const REJECTIONS: Readonly<Record<string, Rejection>> = {
  invalid_payload: { scope: 'message', remedy: OUR_FAULT },
  invalid_blocks: { scope: 'message', remedy: OUR_FAULT },
  invalid_blocks_format: { scope: 'message', remedy: OUR_FAULT },
  msg_blocks_too_long: { scope: 'message', remedy: OUR_FAULT },
  msg_too_long: { scope: 'message', remedy: OUR_FAULT },
  no_text: { scope: 'message', remedy: OUR_FAULT },
  missing_text_or_fallback_or_attachments: { scope: 'message', remedy: OUR_FAULT },
  action_prohibited: { scope: 'webhook', remedy: ASK_ADMIN },
  posting_to_general_channel_denied: { scope: 'webhook', remedy: ASK_ADMIN },
  channel_is_archived: { scope: 'webhook', remedy: OTHER_CHANNEL },
  channel_not_found: { scope: 'webhook', remedy: OTHER_CHANNEL },
  invalid_token: { scope: 'webhook', remedy: NEW_WEBHOOK },
  no_active_hooks: { scope: 'webhook', remedy: NEW_WEBHOOK },
  no_service: { scope: 'webhook', remedy: NEW_WEBHOOK },
  no_service_id: { scope: 'webhook', remedy: NEW_WEBHOOK },
  no_team: { scope: 'webhook', remedy: NEW_WEBHOOK },
  team_disabled: { scope: 'webhook', remedy: NEW_WEBHOOK },
  user_not_found: { scope: 'webhook', remedy: NEW_WEBHOOK },
};

const CHECK_URL = 'Check that SLACK_WEBHOOK_URL is a Slack incoming webhook and nothing in between answers for Slack.';

/** Reads a refusal; `code` is Slack's word when it is a known one, else `http_<status>`: never text from the answer. */
export function rejectionOf(status: number, body: string): Rejection & { readonly code: string } {
  const word = body.trim();
  const known = Object.hasOwn(REJECTIONS, word) ? REJECTIONS[word] : undefined;
  if (known !== undefined) return { code: word, ...known };
  const scope = status === 400 || status === 413 ? 'message' : 'webhook';
  return { code: `http_${status}`, scope, remedy: scope === 'message' ? OUR_FAULT : CHECK_URL };
}
