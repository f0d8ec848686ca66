/** For tests: whether an answer is one that the document promises. */
import assert from 'node:assert/strict';
import { z } from '@hono/zod-openapi';
import type { App } from './deps.ts';

type Responses = Readonly<Record<string, { content?: Readonly<Record<string, { schema?: unknown }>> }>>;
type Documented = { readonly method: string; readonly path: RegExp; readonly responses: Responses };

/** Checks answers against the routes' own schemas: status, content type, every field, and no field beyond. */
export function documentedAnswers(app: App): (method: string, path: string, response: Response, text: string) => void {
  const routes = app.openAPIRegistry.definitions
    .filter((definition) => definition.type === 'route')
    .map(({ route }): Documented => {
      const path = new RegExp(`^${route.path.replaceAll('.', '\\.').replaceAll(/\{[^}]+\}/g, '[^/]+')}$`);
      return { method: route.method.toUpperCase(), path, responses: route.responses as Responses };
    });
  return (method, path, response, text) => {
    const route = routes.find((candidate) => candidate.method === method && candidate.path.test(path));
    if (route === undefined) return;
    const where = `${method} ${path} answered ${response.status}`;
    const promised = route.responses[response.status];
    assert.ok(promised !== undefined, `${where}, which is not documented: ${text.slice(0, 300)}`);
    const [type = ''] = (response.headers.get('content-type') ?? '').split(';');
    const schema = promised.content?.[type]?.schema;
    assert.ok(schema instanceof z.ZodType, `${where} as ${type}, which is not documented`);
    if (!type.endsWith('json')) return;
    const body = JSON.parse(text);
    assert.deepEqual(schema.parse(body), body, `${where} with fields that are not documented`);
  };
}
