#!/usr/bin/env node
// No import before the version check: an old Node that lacks what is imported would never get to the message.
const OLDEST_NODE = 18;

if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
  console.error(
    `Bintrail's set-up needs Node ${OLDEST_NODE} or newer; this is ${process.version} (${process.execPath}).\n` +
      'Any newer one will do, from https://nodejs.org or your distribution: set-up then installs the Node that Bintrail runs on.',
  );
  process.exitCode = 78;
} else {
  import('./setup.mjs').then(({ main }) => main(process.argv.slice(2), process.env));
}
