// A process made to be killed: argv is the folder of the bus, the webhook, and options as JSON.
import { argv } from 'node:process';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { openBusFor } from './notify.kit.ts';
import { createNotify } from './notify.ts';

const [home, webhookUrl, settings = '{}'] = argv.slice(2) as [string, string, string?];
const notify = await createNotify({
  bus: openBusFor(home),
  log: createLog({ level: 'silent', name: 'child' }),
  metrics: createMetrics(),
  webhookUrl,
  apiUrl: 'http://127.0.0.1:7070',
  tokenPath: '/var/lib/bintrail/token',
  ...JSON.parse(settings),
});
await notify.done;
