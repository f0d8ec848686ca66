import type { Metrics } from '@bintrail/runtime/metrics.ts';

export type ApiMetrics = {
  /** One answered request. `route` is its pattern, never its path: the values must stay few. */
  observeRequest(method: string, route: string, status: number, seconds: number): void;
  /** The answer to a scrape. */
  text(): Promise<{ readonly contentType: string; readonly body: string }>;
};

// Lists at 10 M events are meant to stay under 100 ms.
const SECONDS = [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30];
const METHODS = ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS'];

/** Once per registry. */
export function createApiMetrics(metrics: Metrics): ApiMetrics {
  const requests = metrics.histogram('http_request_seconds', 'Time until an answer was ready.', SECONDS, [
    'method',
    'route',
    'status',
  ]);
  return {
    observeRequest(method, route, status, seconds) {
      requests.observe({ method: METHODS.includes(method) ? method : 'other', route, status }, seconds);
    },
    text: () => metrics.text(),
  };
}
