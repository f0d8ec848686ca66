/** Thresholds and times that several dashboards share. */
import type { Steps } from '../panels.ts';

export const MINUTE_S = 60;
/** Roll-ups of sightings are kept by the hour. */
export const HOUR_S = 3600;

/** What a share of events seen may fall to before somebody is told. */
export const COVERAGE_AIM = 0.999;
export const COVERAGE_STEPS: Steps = ['red', [0.99, 'yellow'], [COVERAGE_AIM, 'green']];
export const DIGEST_AIM = 0.95;
export const DIGEST_STEPS: Steps = ['red', [DIGEST_AIM, 'yellow'], [0.99, 'green']];
