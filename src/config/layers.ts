/** Configurations in layers: what stands below, then a file, then `--set`, then flags. */
import type * as z from 'zod';
import { UserError } from '../errors.js';
import { checkAgainst } from './problems.js';

/** A JSON file with some of the keys. */
export interface ConfigFile {
  readonly path: string;
  readonly contents: Readonly<Record<string, unknown>>;
}

/** What changes a configuration, in this order. */
export interface ConfigChanges {
  readonly file?: ConfigFile;
  /** `key=value`. */
  readonly settings?: readonly string[];
  /** Values of flags of their own, such as `--steps`; undefined where a flag was not given. */
  readonly flags?: Readonly<Record<string, unknown>>;
}

type Json = Record<string, unknown>;
export const isObject = (value: unknown): value is Json =>
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
      what: 'a setting must be written as key=value',
      where: '--set',
      got: setting,
      expected: 'for example network.width=16',
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

/** A configuration with changes, not checked yet. @throws UserError for a setting that cannot be read */
export function withChanges(base: object, { file, settings = [], flags = {} }: ConfigChanges): Json {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  const layers: Json[] = [file?.contents ?? {}, ...settings.map(parseSetting), given];
  return layers.reduce(merge, { ...base });
}

/** @throws UserError of kind `config` naming each wrong key */
export function parseConfig<T>(schema: z.ZodType<T>, value: unknown, where: string, fix: string): T {
  const checked = checkAgainst(schema, value);
  if ('value' in checked) return checked.value;
  throw new UserError('config', { what: checked.problems.join('; '), where, fix });
}
