/** From an exec to its row, and from the first exec of a new program to its Slack message. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import { openStore, type Store } from '@bintrail/runtime/store.ts';
import { startTestEngine } from '@bintrail/standalone/clickhouse-host.fixture.ts';
import { startBintrail } from '../src/e2e/bintrail.ts';
import { whyNotHere } from '../src/kernel/probe-kit.ts';
import { startSlackReceiver } from '../src/slack-receiver.ts';
