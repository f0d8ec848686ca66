/** Names one program image of one process in the whole fleet: `<boot>:<pid>:<start_ns>:<self_exec_id>`. */
export type ExecId = {
  readonly boot: string;
  readonly pid: number;
  readonly startNs: bigint;
  readonly selfExecId: number;
};

export function formatExecId(id: ExecId): string {
  return `${id.boot}:${id.pid}:${id.startNs}:${id.selfExecId}`;
}

const PATTERN = /^([0-9a-f-]{1,64}):(\d{1,10}):(\d{1,19}):(\d{1,10})$/;

/** Reads an exec id back; undefined for anything else. */
export function parseExecId(text: string): ExecId | undefined {
  const match = PATTERN.exec(text);
  if (match === null) return undefined;
  const [, boot, pid, startNs, selfExecId] = match;
  if (Number(pid) > 0xffff_ffff || Number(selfExecId) > 0xffff_ffff) return undefined;
  return { boot: boot!, pid: Number(pid), startNs: BigInt(startNs!), selfExecId: Number(selfExecId) };
}
