import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, checkConfig, sizeSchema } from '../config.js';
import type { XYZ } from '../data/volume.js';
import { fromSystemError, UserError } from '../errors.js';
import { writeFileAtomic } from '../files.js';

/** What a run's config.json says. */
export interface RunFacts {
  /** Folder of the tile store, as it was given. */
  readonly data: string;
  /** Voxels of its tiles, x×y×z. */
  readonly tile: XYZ;
  readonly config: Config;
}

export const configPath = (run: string): string => join(run, 'config.json');

/** Writes config.json: where the data are, then every key of the resolved configuration. */
export function writeRun(run: string, { data, tile, config }: RunFacts): void {
  writeFileAtomic(configPath(run), `${JSON.stringify({ data, tile, ...config }, null, 2)}\n`);
}

/** What a run was started with. @throws UserError when the folder holds no run, or its configuration is damaged */
export function readRun(run: string): RunFacts {
  const path = configPath(run);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError('run', {
      what: 'this folder holds no run',
      where: run,
      expected: 'a folder that `p2w pretrain --out` made',
      cause: fromSystemError(error, path),
    });
  }
  try {
    const { data, tile, ...config } = JSON.parse(text) as Record<string, unknown>;
    return { data: String(data), tile: sizeSchema.parse(tile) as XYZ, config: checkConfig(config, path) };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError('run', {
      what: 'the configuration of the run is damaged',
      where: path,
      cause: error,
    });
  }
}
