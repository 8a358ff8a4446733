/** Configurations in layers: what stands below, then a file, then what was asked for. */
import type * as z from 'zod';
import { UserError } from '../errors.js';
import { checkAgainst } from './problems.js';

/** Some of the keys, at any depth; lists are given whole. */
export type DeepPartial<T> = T extends readonly unknown[]
  ? Readonly<T>
  : T extends object
    ? { readonly [K in keyof T]?: DeepPartial<T[K]> }
    : T;

/** A JSON file with some of the keys. */
export interface ConfigFile {
  readonly path: string;
  readonly contents: Readonly<Record<string, unknown>>;
}

/** What changes a configuration, in this order. */
export interface ConfigChanges<Config> {
  /** As `readConfigFile` reads it. */
  readonly file?: ConfigFile;
  /** Some of the keys, such as `{ batch: 8, network: { width: 16 } }`; undefined changes nothing. */
  readonly config?: DeepPartial<Config>;
}

export type Json = Record<string, unknown>;
export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether two objects say by name that they are different things, of which one has nothing for the other. */
const areOthers = (one: Json, other: Json) =>
  one.name !== undefined && other.name !== undefined && one.name !== other.name;

/** `over` on top of `under`, object by object. Another optimiser replaces all of the old one's options. */
export function merge(under: Json, over: Json): Json {
  const merged = new Map(Object.entries(under));
  for (const [key, value] of Object.entries(over)) {
    if (value === undefined) continue;
    const old = merged.get(key);
    const kept = isObject(value) && isObject(old) && !areOthers(old, value) ? old : {};
    merged.set(key, isObject(value) ? merge(kept, value) : value);
  }
  return Object.fromEntries(merged);
}

/** A configuration with changes, not checked yet: options of an optimiser may be in one layer, and its name in another. */
export const withChanges = (base: object, { file, config }: ConfigChanges<object>): Json =>
  merge({ ...base }, merge({ ...file?.contents }, { ...config }));

/** Whether a layer decides what is at a path, or ends above it. */
const decides = (layer: unknown, [key, ...rest]: readonly PropertyKey[]): boolean =>
  key === undefined || !isObject(layer) || (Object.hasOwn(layer, key) && decides(layer[String(key)], rest));

/** Who is to blame for a value: the file, unless it was asked for otherwise. */
export const blamedOf =
  ({ file, config = {} }: ConfigChanges<object>) =>
  (path: readonly PropertyKey[]): string =>
    file && !decides(config, path) && decides(file.contents, path) ? file.path : 'configuration';

/**
 * @param where what a value was read from, or what each of its paths was
 * @throws UserError of kind `config` naming each wrong key
 */
export function parseConfig<T>(
  schema: z.ZodType<T>,
  value: unknown,
  where: string | ((path: readonly PropertyKey[]) => string),
  fix: string,
): T {
  const checked = checkAgainst(schema, value);
  if ('value' in checked) return checked.value;
  const places = checked.problems.map(({ path }) => (typeof where === 'string' ? where : where(path)));
  throw new UserError('config', {
    what: checked.problems.map(({ text }) => text).join('; '),
    where: [...new Set(places)].join(' and '),
    fix,
  });
}
