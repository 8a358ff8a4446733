import { readFileSync } from 'node:fs';
import { fromSystemError, UserError } from '../errors.js';
import { type ConfigFile, isObject, type Json } from './layers.js';

/** What the config.json of a run holds beside its settings: facts of its data. */
const RUN_FACTS: readonly string[] = ['data', 'tile', 'format', 'spacing'];
const isOfRun = (contents: Json) => 'data' in contents && ('tile' in contents || 'format' in contents);

/** The settings in a run's config.json, without what it says of its data and of the files that it began from. */
function settingsOf(run: Json): Json {
  const settings = Object.entries(run).filter(
    ([key, value]) => !RUN_FACTS.includes(key) && !(key === 'model' && value === null),
  );
  return Object.fromEntries(
    settings.map(([key, value]) => {
      if (!isObject(value) || !['init', 'model'].includes(key)) return [key, value];
      const { sha256: _, ...others } = value;
      return [key, others];
    }),
  );
}

/**
 * Reads a configuration file, which may also be the config.json of a run: then its settings are read, and not what it says of its data, or of the weights that it began from.
 * @throws UserError when it cannot be read, or is no JSON object
 * @example
 * const config = resolveConfig({ preset: 'tiny', file: readConfigFile('run.json') });
 */
export function readConfigFile(path: string): ConfigFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fromSystemError(error, path);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return { path, contents: isOfRun(value) ? settingsOf(value) : value };
  } catch {} // said below
  throw new UserError('config', {
    what: 'this is not a JSON object',
    where: path,
    fix: 'see the config.json of any run for the keys',
  });
}
