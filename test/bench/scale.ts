/** `npm run bench:scale -- scale.json`: time and price of a pre-training on many GPUs; docs/cluster.md explains the file. */
import { formatScale, formatSources, parseScale } from '../../src/bench/scale.js';
import { readConfigFile } from '../../src/config/file.js';

try {
  const { path, contents } = readConfigFile(process.argv[2] ?? 'scale.json');
  const scale = parseScale(contents, path);
  console.log(`${formatScale(scale)}\n\n${formatSources(scale)}`);
} catch (error) {
  console.error(`bench:scale: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
