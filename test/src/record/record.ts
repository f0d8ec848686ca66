/**
 * Makes the sample that `npm start -- --replay` plays: `node test/src/record/record.ts OUT`, as root, on a Debian host
 * with cc, podman, runc and busybox-static that has neither systemd's cgroups nor a package named sample-agent. Takes back all it changes.
 */
import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { CENSUS_FOLDER } from '@bintrail/probe/census.ts';
import { openSources } from '@bintrail/probe/containers/sources.ts';
import { readBootId } from '@bintrail/probe/host.ts';
import { startProbe } from '@bintrail/probe/probe.ts';
import { redactArguments } from '@bintrail/probe/redact.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { packRecording, rowsOf, unpackRecording } from '@bintrail/standalone/replay-recording.ts';
import { whyNotHere } from '../kernel/probe-kit.ts';
import { keptMessages, SAMPLE_NODE } from './kept.ts';
import { DEPLOY_UID, MAX_FILE_BYTES, prepareScenario, SECRET } from './scenario.ts';

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url));

const [outPath] = process.argv.slice(2);
const why = outPath === undefined ? 'usage: node test/src/record/record.ts OUT' : whyNotHere();
if (outPath === undefined || why !== undefined) {
  console.error(why);
  process.exit(64);
}
const messages = await record();
const packed = packRecording(messages);
const texts = unpackRecording(packed)
  .flatMap(rowsOf)
  .flatMap((row) => Object.values(row).filter((value) => typeof value === 'string'));
// As words: a host's name may be as short as two letters.
for (const word of [CHECKOUT.slice(0, -1), hostname(), SECRET]) {
  const found = texts.find((text) => new RegExp(`(?<!\\w)${RegExp.escape(word)}(?!\\w)`).test(text));
  if (found !== undefined) throw new Error(`the recording holds ${JSON.stringify(word)}: ${JSON.stringify(found)}`);
}
writeFileSync(outPath, packed);
console.log(`${messages.length} messages, ${packed.length} bytes: ${outPath}`);

async function record(): Promise<Uint8Array[]> {
  const scenario = await prepareScenario();
  try {
    const batches: Batch[] = [];
    const probe = await startProbe({
      ...{ lsmObjectPath: `${CHECKOUT}bpf/build/lsm.bpf.o`, hooks: 'tracepoint' },
      ...{ bpfObjectPath: `${CHECKOUT}bpf/build/bintrail.bpf.o`, node: SAMPLE_NODE, boot: readBootId() },
      censusObjectPath: `${CHECKOUT}bpf/build/census.bpf.o`,
      censusFolder: CENSUS_FOLDER,
      ...{ maxFileBytes: MAX_FILE_BYTES, redact: redactArguments },
      containerSources: openSources([{ runtime: 'podman', path: scenario.podmanSocket }], SAMPLE_NODE),
      userName: (uid) => (uid === DEPLOY_UID ? 'deploy' : undefined),
      log: createLog({ level: 'warn', name: 'record' }),
      publish: async (messages) => {
        for (const { value } of messages) {
          const decoded = decodeBatch(value);
          if (!decoded.ok) throw new Error(`the probe sent ${decoded.reason}: ${decoded.detail}`);
          // What the host ran besides is no part of the sample.
          if (decoded.batch.type !== 'census') batches.push(decoded.batch);
        }
      },
    });
    await scenario.play();
    await probe.close();
    await probe.done;
    return keptMessages(batches, scenario.rootPids);
  } finally {
    await scenario.cleanUp();
  }
}
