/** Writes services/api/openapi.json: `node services/api/src/write-document.ts`. */
import { writeFileSync } from 'node:fs';
import { newApp } from './app.ts';
import { describeApi } from './document.ts';
import { addRoutes } from './routes.ts';

const app = newApp();
addRoutes(app);
writeFileSync(new URL('../openapi.json', import.meta.url), `${JSON.stringify(describeApi(app), null, 2)}\n`);
