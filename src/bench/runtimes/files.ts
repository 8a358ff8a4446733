import { join } from 'node:path';
import { makeFolder, writeFileAtomic } from '../../files.js';
import { formatRuntimes, runtimesChart } from './format.js';
import type { RuntimesResult } from './result.js';

/** Writes a result into a folder: as JSON, as a table in Markdown, and as a bar chart. @throws UserError of kind `disk` */
export function writeRuntimes(folder: string, result: RuntimesResult): void {
  makeFolder(folder);
  writeFileAtomic(join(folder, 'runtimes.json'), `${JSON.stringify(result, null, 2)}\n`);
  writeFileAtomic(join(folder, 'runtimes.md'), `${formatRuntimes(result)}\n`);
  writeFileAtomic(join(folder, 'runtimes.svg'), runtimesChart(result));
}
