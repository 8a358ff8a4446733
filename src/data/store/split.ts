/** Which scans are for training and which for validation: always whole scans, never single tiles. */
import * as z from 'zod';
import { abridged, UserError } from '../../errors.js';
import { randomStream } from '../../random.js';
import { readRecords, readText } from '../../tables/read.js';
import type { Split } from './tile-source.js';

/**
 * Draws the validation scans: each scan gets a random number of its own, and the lowest are taken. Another scan
 * more or less therefore moves hardly any of the others.
 * @param fraction share of validation scans; above 0, two scans or more give at least one for each purpose
 */
export function drawSplit(ids: readonly string[], fraction: number, seed: number): Map<string, Split> {
  const rank = new Map(ids.map((id) => [id, randomStream(seed, 'split', id).uniform()]));
  const ranked = [...ids].sort((a, b) => rank.get(a)! - rank.get(b)!);
  const wanted = Math.round(ids.length * fraction);
  const count = fraction > 0 && ids.length > 1 ? Math.min(Math.max(wanted, 1), ids.length - 1) : wanted;
  return new Map(ranked.map((id, i) => [id, i < count ? 'validation' : 'train']));
}

const splitFileSchema = z.strictObject({ train: z.array(z.string()), validation: z.array(z.string()) });

/**
 * Reads a split from a file: JSON `{"train": [ids], "validation": [ids]}`, or CSV with a line `id,split` a scan.
 * @param ids the scans that must be in it; others may be
 * @throws UserError of kind `config` for a file of another form, and for scans that are missing or in both
 */
export function readSplit(path: string, ids: readonly string[]): Map<string, Split> {
  const entries = /\.json$/i.test(path) ? jsonEntries(path) : csvEntries(path);
  const split = new Map<string, Split>();
  for (const [id, purpose] of entries) {
    if ((split.get(id) ?? purpose) !== purpose) {
      throw badSplit(path, 'a scan is in both the training and the validation split', id);
    }
    split.set(id, purpose);
  }
  const missing = ids.filter((id) => !split.has(id));
  if (missing.length > 0) {
    throw badSplit(path, 'some scans are in neither split', abridged(missing));
  }
  return split;
}

function jsonEntries(path: string): [string, Split][] {
  const text = readText(path);
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw badSplit(path, 'this is not JSON', (error as Error).message);
  }
  const result = splitFileSchema.safeParse(content);
  if (!result.success) throw badSplit(path, 'this is not a valid split', z.prettifyError(result.error));
  const { train, validation } = result.data;
  return [
    ...train.map((id): [string, Split] => [id, 'train']),
    ...validation.map((id): [string, Split] => [id, 'validation']),
  ];
}

function csvEntries(path: string): [string, Split][] {
  const records = readRecords(path).filter(({ cells }) => cells.join() !== 'id,split');
  return records.map(({ cells: [id, split, ...more] }) => {
    if (more.length === 0 && (split === 'train' || split === 'validation')) return [id!, split];
    throw badSplit(path, 'this line does not assign a scan to a split', [id, split, ...more].join());
  });
}

const badSplit = (where: string, what: string, got: string) =>
  new UserError('config', {
    what,
    where,
    got,
    expected: '{"train": [ids], "validation": [ids]}, or CSV lines: id,train or id,validation',
    fix: 'correct the file',
  });
