/** A dependency is down or busy: the work is kept and tried again. Thrown where the fault is known, never guessed. */
export class Transient extends Error {
  override readonly name = 'Transient';
  /** Wait at least this long before the next try, where the dependency said so (HTTP Retry-After). */
  readonly retryAfterMs: number;
  constructor(message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }
}

/** A fault of the operator's set-up. `message` names what is wrong, `remedy` what to do next. */
export class SetupError extends Error {
  override readonly name = 'SetupError';
  readonly remedy: string;
  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}
