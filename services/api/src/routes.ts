/** Every route of the api, in the order the document shows them. */
import type { App } from './deps.ts';
import { approvalsRoutes } from './routes/approvals.ts';
import { auditRoutes } from './routes/audit.ts';
import { binariesRoutes } from './routes/binaries.ts';
import { containersRoutes } from './routes/containers.ts';
import { coverageRoutes } from './routes/coverage.ts';
import { docsRoutes } from './routes/docs.ts';
import { eventsRoutes } from './routes/events.ts';
import { findingsRoutes } from './routes/findings.ts';
import { healthRoutes } from './routes/health.ts';
import { nodesRoutes } from './routes/nodes.ts';
import { processesRoutes } from './routes/processes.ts';
import { streamRoutes } from './routes/stream.ts';
import { tokensRoutes } from './routes/tokens.ts';
import { workloadsRoutes } from './routes/workloads.ts';

export function addRoutes(app: App): void {
  binariesRoutes(app);
  workloadsRoutes(app);
  eventsRoutes(app);
  streamRoutes(app);
  processesRoutes(app);
  containersRoutes(app);
  coverageRoutes(app);
  nodesRoutes(app);
  findingsRoutes(app);
  approvalsRoutes(app);
  auditRoutes(app);
  tokensRoutes(app);
  healthRoutes(app);
  docsRoutes(app);
}
