import { isDeepStrictEqual } from 'node:util';

type Options = Readonly<Record<string, unknown>>;

const text = (value: unknown) => JSON.stringify(value) ?? 'none';

/** What differs from the options of an earlier call, in words. @param names that count */
export const changedOptions = (before: Options, now: Options, names = Object.keys(now)): string[] =>
  names
    .filter((name) => !isDeepStrictEqual(before[name], now[name]))
    .map((name) => `${name} ${text(now[name])} instead of ${text(before[name])}`);
