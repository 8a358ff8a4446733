import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeFeatures } from '../../src/commands/feature-files.js';
import { readFeatures } from '../../src/commands/read-features.js';
import type { FeatureRow } from '../../src/search/feature-row.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const rows: FeatureRow[] = [0, 1, 2].map((i) => ({
  ...{
    source: `ä${i}`,
    offset: i === 0 ? null : [i, 2, 3],
    centre: i === 0 ? null : [0.5, i, -1],
    windows: 1,
  },
  features: Float32Array.of(i, 0.1, -1e30),
}));

describe('features', () => {
  test.each(['npy', 'jsonl', 'parquet'])('are read as they were written: %s', async (format) => {
    const path = at(`features.${format}`);
    await writeFeatures(path, rows);
    expect(await readFeatures(path)).toEqual(rows);
  });

  test('may have blank lines, and a last one without an end', async () => {
    const lines = readFileSync(at('features.jsonl'), 'utf8').trimEnd().split('\n');
    writeFileSync(at('by-hand.jsonl'), `\n${lines.join('\n\n')}`);
    expect(await readFeatures(at('by-hand.jsonl'))).toEqual(rows);
  });

  test('that are none are refused', async () => {
    writeFileSync(at('text.jsonl'), '{"source":\n');
    writeFileSync(at('lost.npy'), readFileSync(at('features.npy')));
    mkdirSync(at('folder.npy'));
    await expect(readFeatures(at('text.jsonl'))).rejects.toThrow(/these are not features/);
    await expect(readFeatures(at('lost.npy'))).rejects.toThrow(/lost\.rows\.jsonl: no such file/);
    await expect(readFeatures(at('folder.npy'))).rejects.toThrow(/not a regular file/);
  });
});
