import { writeFileSync } from 'node:fs';
import { generatedFiles } from './files.ts';

for (const { path, content } of generatedFiles()) {
  writeFileSync(path, content);
  console.log(path);
}
