/** Configurations in layers: what stands below, then a file, then `--set`, then flags. */
import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { fromSystemError, UserError } from '../errors.js';

/** What changes a configuration, in this order. */
export interface ConfigChanges {
  /** A JSON file with some of the keys. */
  readonly file?: string;
  /** `key=value`. */
  readonly settings?: readonly string[];
  /** Values of flags of their own, such as `--steps`; undefined where a flag was not given. */
  readonly flags?: Readonly<Record<string, unknown>>;
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `over` on top of `under`, object by object. Another optimiser replaces all of the old one's options. */
function merge(under: Json, over: Json): Json {
  const merged: Json = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const old = under[key];
    const replaces = isObject(value) && 'name' in value && isObject(old) && value.name !== old.name;
    merged[key] = isObject(value) && isObject(old) && !replaces ? merge(old, value) : value;
  }
  return merged;
}

/** `network.width=16` as `{network: {width: 16}}`. Values are JSON, or text where they are not. */
function parseSetting(setting: string): Json {
  const at = setting.indexOf('=');
  if (at < 1)
    throw new UserError('usage', {
      what: 'a setting is written key=value',
      where: '--set',
      got: setting,
      expected: 'such as network.width=16',
    });
  let value: unknown = setting.slice(at + 1);
  try {
    value = JSON.parse(value as string);
  } catch {} // plain text, such as 64x64x32
  return setting
    .slice(0, at)
    .split('.')
    .reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Json;
}

function readConfigFile(path: string): Json {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fromSystemError(error, path);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {} // said below
  throw new UserError('config', {
    what: 'this is not a JSON object',
    where: path,
    fix: 'see the config.json of any run for the keys',
  });
}

/** A configuration with changes, not checked yet. @throws UserError for a file or setting that cannot be read */
export function withChanges(base: object, { file, settings = [], flags = {} }: ConfigChanges): Json {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  const layers: Json[] = [file ? readConfigFile(file) : {}, ...settings.map(parseSetting), given];
  return layers.reduce(merge, { ...base });
}

/** @throws UserError of kind `config` naming each wrong key */
export function parseConfig<T>(schema: z.ZodType<T>, value: unknown, where: string, fix: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) =>
    path.length > 0 ? `${path.join('.')}: ${message}` : message,
  );
  throw new UserError('config', { what: problems.join('; '), where, fix });
}
