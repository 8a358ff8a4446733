/**
 * Makes `models/chest` of a pre-training run and the tiles that it was trained on: `npm run model:chest -- --run RUN --data TILES`.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { meanWholeMse } from '../src/commands/analyse-run.js';
import { exportModel } from '../src/commands/export.js';
import { formatPrecision } from '../src/commands/export-precision.js';
import { sha256 } from '../src/data/store/arrays.js';
import { openTileStore } from '../src/data/store/tiles.js';
import { UserError } from '../src/errors.js';
import { writeFileAtomic } from '../src/files.js';
import { resolveCheckpoint } from '../src/runs/checkpoint.js';
import { readRun } from '../src/runs/run.js';
import { dataSection } from './card.js';

const OUT = fileURLToPath(new URL('chest', import.meta.url));

/** @throws UserError when the run is of other tiles, or the licence of one of their scans is not known */
async function build(run: string, data: string): Promise<string> {
  const store = openTileStore(data);
  if (store.hash !== resolveCheckpoint(run, 'best').state.dataHash)
    throw new UserError('data', { what: 'the run was not trained on these tiles', where: data });
  const section = dataSection(store, meanWholeMse(store, readRun(run).config));
  const { model, weights, card, step, precision } = await exportModel({
    ...{ run, data, out: OUT, precision: 'float16-weights', license: 'CC-BY-4.0', overwrite: true },
  });
  appendFileSync(card, section);
  const lines = [model, weights, card].map((path) => `${sha256(readFileSync(path))}  ${basename(path)}\n`);
  writeFileAtomic(join(OUT, 'SHA256SUMS'), lines.join(''));
  return `wrote ${OUT}, of step ${step}\n${formatPrecision(precision!)}`;
}

const { run, data } = parseArgs({ options: { run: { type: 'string' }, data: { type: 'string' } } }).values;
try {
  if (run === undefined || data === undefined)
    throw new UserError('usage', { what: 'which run, and which tiles?', expected: '--run RUN --data TILES' });
  console.log(await build(run, data));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
