/** A fleet's events, made inside the engine and stored through the real views. */
import { randomUUID } from 'node:crypto';
import type { Store } from '@bintrail/runtime/store.ts';

export const WORKLOADS = 100;
const NODES_A_WORKLOAD = 20;
const PROGRAMS_A_WORKLOAD = 60;
export const PROGRAMS = 3_000;
/** Every tenth program belongs to no package. */
const UNOWNED = 10;
const DAYS = 30;

export const workloadName = (index: number) => `systemd/service-${index}.service`;
export const nodeName = (index: number) => `node-${index}`;
/** Digests are those of the programs' numbers. */
export const digestSql = (program: string) => `unhex(hex(SHA256(concat('program', toString(${program})))))`;

/**
 * Stores events `from` to `from + count` of `total`, spread evenly over the last 30 days. Some workloads and programs
 * are far more frequent than others; each workload runs 60 programs on 20 nodes.
 */
export async function generateEvents(store: Store, from: number, count: number, total: number): Promise<void> {
  const stepNs = Math.floor((DAYS * 86_400e9) / total);
  const startNs = `(toUnixTimestamp64Nano(toDateTime64(now(), 9, 'UTC')) - ${DAYS * 86_400}000000000)`;
  await store.command(`
    INSERT INTO exec_events (node, boot, probe_epoch, ingested_at, ts, cpu, cpu_seq, pid, self_exec_id, start_ns,
      parent_pid, parent_self_exec_id, ppid, uid, loginuid, argc, size, path, filename, cwd, comm, cgroup_path, argv,
      parent_path, workload, sha256, digest_source, digest_strength, package, package_version, package_match)
    WITH intHash64(number) AS h, intHash64(h + 1) AS g,
      toUInt32(floor(${WORKLOADS} * pow((h % 65536) / 65536, 2))) AS w,
      toUInt32(floor(${PROGRAMS_A_WORKLOAD} * pow((intDiv(h, 65536) % 65536) / 65536, 3))) AS rank,
      toUInt32(intHash64(w * 1000 + rank) % ${PROGRAMS}) AS program,
      w * ${NODES_A_WORKLOAD} + g % ${NODES_A_WORKLOAD} AS node_number,
      concat('/usr/bin/program-', toString(program)) AS file
    SELECT concat('node-', toString(node_number)), concat('boot-', toString(node_number)), 1767225600000,
      toDateTime64(ts, 3, 'UTC'), fromUnixTimestamp64Nano(${startNs} + toInt64(number) * ${stepNs}, 'UTC') AS ts,
      number % 8, intDiv(number, 8), 1000 + g % 4000000, 2, toUInt64(number) * ${stepNs},
      100 + g % 1000, 1, 100 + g % 1000, if(g % 10 < 7, 0, 1000), 4294967295, 2, 100000, file, file, '/srv/app',
      substring(file, 10, 15), concat('/system.slice/service-', toString(w), '.service'),
      concat(file, '\\0', '--job=', toString(g % 100000), '\\0'),
      arrayElement(['/usr/lib/systemd/systemd', '/usr/bin/dash', '/usr/bin/bash', '/usr/sbin/cron'], 1 + g % 4),
      concat('systemd/service-', toString(w), '.service'), ${digestSql('program')}, 'cache', 'exact',
      if(program % ${UNOWNED} = 0, '', concat('dpkg:package-', toString(intDiv(program, 8)), ':amd64')),
      if(program % ${UNOWNED} = 0, '', '1.0-1'), if(program % ${UNOWNED} = 0, '', 'match')
    FROM numbers(${from}, ${count})
    SETTINGS insert_deduplication_token = '${randomUUID()}', max_partitions_per_insert_block = 0`);
}
