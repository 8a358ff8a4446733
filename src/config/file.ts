import { readFileSync } from 'node:fs';
import { fromSystemError, UserError } from '../errors.js';
import { type ConfigFile, isObject } from './layers.js';

/**
 * Reads a configuration file.
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
    if (isObject(value)) return { path, contents: value };
  } catch {} // said below
  throw new UserError('config', {
    what: 'this is not a JSON object',
    where: path,
    fix: 'see the config.json of any run for the keys',
  });
}
