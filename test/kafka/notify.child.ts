// A copy of notify for notify-copies.test.ts: argv is the bus's location and the webhook. Quick in everything.
import { argv } from 'node:process';
import { createNotify } from '@bintrail/notify/notify.ts';
import { DEFAULT_RETRY } from '@bintrail/notify/retry.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { createShutdown } from '@bintrail/runtime/shutdown.ts';
import { connectionOf } from './contract.adapter.ts';
import { TIMING } from './notify-copies.kit.ts';

const [location, webhookUrl] = argv.slice(2) as [string, string];
const level = process.env.BINTRAIL_LOG_LEVEL === 'debug' ? 'debug' : 'error';
const log = createLog({ level, name: `copy ${process.pid}` });
const shutdown = createShutdown({ log, boundMs: 20_000 });
const bus = openKafkaBus({ connection: connectionOf(location), log, timing: TIMING });
shutdown.onClose('bus', bus.close);
const notify = await createNotify({
  ...{ bus, log, webhookUrl, metrics: createMetrics() },
  ...{ apiUrl: 'http://127.0.0.1:7070', tokenPath: '/var/lib/bintrail/token' },
  ...{ intervalMs: 50, postTimeoutMs: 1_500, bundleOver: 3 },
  retry: { ...DEFAULT_RETRY, baseMs: 50, capMs: 400, messageRejectedMs: 500, maxRetryAfterMs: 400 },
});
shutdown.onClose('notify', notify.close);
notify.done.catch(shutdown.fail);
