/** Scans that are divided among processes, on one machine or many. */
import { UserError } from './errors.js';

/** One of several shares, counted from 1. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** @throws UserError for shares that there cannot be */
export function checkShard({ index, count }: Shard, got = `${index}/${count}`): void {
  if (Number.isSafeInteger(count) && Number.isSafeInteger(index) && index >= 1 && index <= count) return;
  throw new UserError('usage', {
    what: 'this must be a shard and how many there are, counted from 1',
    where: '--shard',
    got,
    expected: 'for example 2/8',
  });
}

/** `2/8` as a shard. @throws UserError for other text */
export function parseShard(text: string): Shard {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  checkShard(shard, text);
  return shard;
}

/** The items of a list that are one shard's: a stretch of it. All shards together have every item once. */
export const shardOf = <T>(items: readonly T[], { index, count }: Shard): T[] =>
  items.slice(Math.floor(((index - 1) * items.length) / count), Math.floor((index * items.length) / count));

/** What the name of a file ends with that only this shard writes. */
export const shardEnding = ({ index, count }: Shard): string => `.shard-${index}-of-${count}`;

const ENDING = /\.shard-\d+-of-\d+$/;

/** Whether a file is one that only a shard writes. */
export const isOfShard = (file: string): boolean => ENDING.test(file);

/** Whether a file's name ends like that of a shard of `name`. */
export const isShardOf = (name: string, file: string): boolean =>
  isOfShard(file) && file.replace(ENDING, '') === name;
