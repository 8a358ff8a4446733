/** Configurations as they are written on a command line. */
import { UserError } from '../errors.js';
import { type Json, merge } from './layers.js';

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

/**
 * Settings, `key=value`, with values on top of them, as some of a configuration's keys; which keys there are is only
 * checked with the configuration.
 * @throws UserError for a setting that cannot be read
 */
export const fromSettings = <Part extends object>(
  settings: readonly string[],
  values?: NoInfer<Part>,
): Part => [...settings.map(parseSetting), { ...values }].reduce(merge, {}) as Part;
