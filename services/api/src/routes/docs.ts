import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createRoute, z } from '@hono/zod-openapi';
import { json, problems } from '../answers.ts';
import { clientAddress, spend } from '../auth.ts';
import type { App } from '../deps.ts';
import { describeApi } from '../document.ts';

const getDocument = createRoute({
  method: 'get',
  path: '/openapi.json',
  tags: ['operation'],
  operationId: 'getDocument',
  summary: 'This document',
  description: 'Open.',
  responses: {
    200: json(z.looseObject({ openapi: z.string() }), 'OpenAPI 3.1.'),
    ...problems(429, 500),
  },
});

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Bintrail API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="/docs/favicon-32x32.png">
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
`;

// No validator, no badge: the page works without a network and tells nobody that it was opened.
const START = `SwaggerUIBundle({
  url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null, persistAuthorization: false,
});
`;

// Swagger UI sets style attributes and draws its arrows from data: images; scripts come from here alone.
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

// Read with the code: once root is given up, a checkout that only root may enter is out of reach.
const require = createRequire(import.meta.url);
const FILES = [
  ['swagger-ui.css', 'text/css; charset=utf-8'],
  ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
  ['favicon-32x32.png', 'image/png'],
].map(([name, type]) => ({ name, type, body: readFileSync(require.resolve(`swagger-ui-dist/${name}`)) }));

/** Swagger UI from our own node_modules, and the document it shows. Not part of the document. */
export function docsRoutes(app: App): void {
  // Of all routes, so not before the first request.
  let document: { openapi: string } | undefined;
  app.openapi(getDocument, (c) => {
    spend(c, `open:${clientAddress(c)}`);
    document ??= describeApi(app);
    return c.json(document, 200);
  });

  // Where people look first, and where a slash too many leads.
  for (const path of ['/', '/docs/']) app.get(path, (c) => c.redirect('/docs', 308));
  app.get('/docs', (c) => {
    spend(c, `open:${clientAddress(c)}`);
    return c.body(PAGE, 200, { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': POLICY });
  });
  app.get('/docs/start.js', (c) => c.body(START, 200, { 'content-type': 'text/javascript; charset=utf-8' }));
  for (const { name, type, body } of FILES) {
    app.get(`/docs/${name}`, (c) => {
      spend(c, `open:${clientAddress(c)}`);
      return c.body(body, 200, { 'content-type': type as string, 'cache-control': 'public, max-age=3600' });
    });
  }
}
