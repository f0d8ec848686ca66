import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PROBE_CAPABILITIES } from '../../services/probe/src/host.ts';
import { PROBE_NODE_OPTIONS } from '../../services/probe/src/launch.ts';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const ROOT = path.resolve(HERE, '../..');
const INSTALLED = '/opt/bintrail';
const STAGES = ['ingest', 'detect', 'notify', 'api'];
/** Of ten: what an unprivileged unit and one with the rights of the probe are worth to `systemd-analyze security`. */
const EXPOSURE = { stage: 2, probe: 5.5 };

const analyze = (...args) => spawnSync('systemd-analyze', args, { encoding: 'utf8' });
const skip = analyze('--version').error === undefined ? false : 'systemd-analyze is not here';
const read = (name) => readFileSync(path.join(HERE, name), 'utf8');

let folder;
before(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'bintrail-units-'));
  for (const name of readdirSync(HERE).filter((each) => each.endsWith('.service'))) {
    // As if this checkout were where the units want it.
    writeFileSync(path.join(folder, name), read(name).replaceAll(INSTALLED, ROOT));
  }
  for (const stage of STAGES) {
    writeFileSync(path.join(folder, `bintrail@${stage}.service`), readFileSync(path.join(folder, 'bintrail@.service')));
  }
});
after(() => rmSync(folder, { recursive: true }));

const UNITS = ['bintrail-probe.service', ...STAGES.map((stage) => `bintrail@${stage}.service`)];

for (const unit of UNITS) {
  test(`${unit} is one that systemd takes without a word`, { skip }, () => {
    const { status, stdout, stderr } = analyze('verify', path.join(folder, unit));
    assert.deepEqual({ status, said: stdout + stderr }, { status: 0, said: '' });
    const most = unit === 'bintrail-probe.service' ? EXPOSURE.probe : EXPOSURE.stage;
    const judged = analyze(
      'security',
      '--offline=yes',
      '--no-pager',
      `--threshold=${most * 10}`,
      path.join(folder, unit),
    );
    assert.equal(judged.status, 0, judged.stdout);
  });
}

test('what the units start is there, and the probe has the rights it asks for and no others', () => {
  for (const stage of STAGES) assert(readdirSync(path.join(ROOT, 'services', stage, 'src')).includes('main.ts'));
  const unit = read('bintrail-probe.service');
  for (const key of ['AmbientCapabilities', 'CapabilityBoundingSet']) {
    const [, names] = new RegExp(`^${key}=(.*)$`, 'm').exec(unit) ?? [];
    assert.deepEqual(names?.split(' ').sort(), PROBE_CAPABILITIES.toSorted(), key);
  }
  assert.match(read('bintrail@.service'), /^CapabilityBoundingSet=$/m);
  const [, started] = /^ExecStart=\S+ (.*) services\/probe\/src\/main\.ts$/m.exec(unit) ?? [];
  assert.deepEqual(started?.split(' '), PROBE_NODE_OPTIONS, 'as npm start starts it');
});
