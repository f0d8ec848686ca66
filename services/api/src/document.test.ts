import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { newApp } from './app.ts';
import { describeApi } from './document.ts';
import { addRoutes } from './routes.ts';

type Operation = {
  operationId?: string;
  summary?: string;
  tags?: string[];
  security?: unknown[];
  requestBody?: unknown;
  responses: Record<string, { description: string; content?: Record<string, unknown> }>;
};
type Document = { openapi: string; tags: { name: string }[]; paths: Record<string, Record<string, Operation>> };

const app = newApp();
addRoutes(app);
const document = JSON.parse(JSON.stringify(describeApi(app))) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ where: `${method} ${path}`, ...operation })),
);

describe('the document', () => {
  it('is committed as it is made', () => {
    const committed = readFileSync(new URL('../openapi.json', import.meta.url), 'utf8');
    const stale = 'services/api/openapi.json is stale: run node services/api/src/write-document.ts';
    assert.ok(committed === `${JSON.stringify(document, null, 2)}\n`, stale);
  });

  it('is OpenAPI 3.1 and holds every route but the documentation page', () => {
    assert.equal(document.openapi, '3.1.0');
    const routed = app.routes.filter(
      ({ method, path }) => method !== 'ALL' && path !== '/' && !path.startsWith('/docs'),
    );
    const described = new Set(operations.map(({ where }) => where));
    for (const { method, path } of routed) {
      const where = `${method.toLowerCase()} ${path.replaceAll(/:(\w+)/g, '{$1}')}`;
      assert.ok(described.has(where), `${where} is not described`);
    }
  });

  it('gives each operation a name of its own, a summary and a known tag', () => {
    const names = operations.map(({ operationId }) => operationId);
    assert.equal(new Set(names).size, operations.length);
    const tags = new Set(document.tags.map(({ name }) => name));
    for (const { where, operationId, summary, tags: [tag] = [] } of operations) {
      assert.ok(operationId && summary && tag !== undefined && tags.has(tag), where);
    }
  });

  it('asks for a token everywhere but where the contract opens a route', () => {
    const open = operations.filter(({ security }) => security === undefined).map(({ where }) => where);
    assert.deepEqual(open.sort(), ['get /healthz', 'get /openapi.json', 'get /readyz']);
  });

  it('names every error a guarded operation can end in, as a problem', () => {
    for (const { where, security, requestBody, responses } of operations) {
      if (security === undefined) continue;
      const bodyErrors = requestBody === undefined ? [] : ['413', '415'];
      for (const status of ['400', '401', '403', '429', '500', '503', ...bodyErrors]) {
        assert.ok(responses[status] !== undefined, `${where} does not document ${status}`);
      }
      for (const [status, { content = {} }] of Object.entries(responses)) {
        if (Number(status) >= 400) assert.deepEqual(Object.keys(content), ['application/problem+json'], where);
      }
    }
  });
});
