import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Classified, type ClassifyOptions, classify } from '../../src/commands/classify.js';
import { cropAround, cropImage, middleOf } from '../../src/data/scan/crop.js';
import { orientLPS } from '../../src/data/scan/geometry.js';
import { readVolume } from '../../src/data/scan/index.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import type { XYZ } from '../../src/data/scan/volume.js';
import { asInt16 } from '../../src/int16.js';
import type { Progress } from '../../src/progress.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { ctSlice, dicomBytes } from '../data/scan/dicom/writer.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { writeTarget } from '../inference/models.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const model = at('classifier.onnx');
writeTarget(model, 'classification', ['no', 'yes', 'maybe']);

const scans = at('scans');
mkdirSync(scans);
/** Right, anterior, superior, as many files have it; one larger than a window, one smaller. */
const RAS = [-1, 0, 0, 0, -1, 0, 0, 0, 1];
const scanOf = (size: XYZ, seed: number) => ({
  ...noiseVolume(size, seed),
  ...{ spacing: [0.5, 1, 2] as const, origin: [10, 20, 30] as const, direction: RAS },
});
await writeNifti(join(scans, 'large.nii.gz'), scanOf([29, 21, 15], 1));
await writeNifti(join(scans, 'small.nii.gz'), scanOf([9, 12, 5], 2));

const run = (options: Partial<ClassifyOptions> & Pick<ClassifyOptions, 'out'>) =>
  classify({ model, input: [scans], threads: 1, ...options });
const rowsOf = (path: string): Classified[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

/** What the file as it is says of the middle of a scan, cut as a training sample. @param spacing of samples; the scan’s own without it */
async function expectedOf(name: string, spacing?: XYZ): Promise<number[]> {
  const volume = orientLPS(await readVolume(join(scans, name)));
  const grid = cropAround(volume, middleOf(volume), [16, 16, 8], spacing);
  const data = asInt16(cropImage(volume, grid, -1000));
  const session = await nodeEngine.load(readFileSync(model), { threads: 1 });
  const { probabilities } = await session.run({ image: { type: 'int16', shape: [1, 1, 8, 16, 16], data } });
  await session.release();
  return [...(probabilities!.data as Float32Array)];
}

describe('classify', () => {
  test('gives each scan the probabilities of its middle, as a sample has them, as JSONL and as CSV', async () => {
    const [jsonl, csv] = [at('classes.jsonl'), at('classes.csv')];
    expect(await run({ out: jsonl })).toMatchObject({ scans: 2, rows: 2, failures: [] });
    const rows = rowsOf(jsonl);
    expect(rows.map(({ scan }) => scan)).toEqual(['large', 'small']);
    for (const [i, name] of ['large.nii.gz', 'small.nii.gz'].entries()) {
      const expected = await expectedOf(name);
      const { probabilities, class: most } = rows[i]!;
      for (const [c, value] of Object.values(probabilities).entries())
        expect(value).toBeCloseTo(expected[c]!, 5);
      expect(most).toBe(['no', 'yes', 'maybe'][expected.indexOf(Math.max(...expected))]);
    }
    // The middle of 9×12×5 voxels that run to the right and to the front, to half a voxel.
    for (const [axis, mm] of [10 - 0.5 * 4, 20 - 1 * 5.5, 30 + 2 * 2].entries())
      expect(Math.abs(rows[1]!.centre[axis]! - mm)).toBeLessThanOrEqual([0.5, 1, 2][axis]! / 2);

    await run({ out: csv });
    const [columns, large] = readFileSync(csv, 'utf8').split('\n');
    expect(columns).toBe('scan,x_mm,y_mm,z_mm,class,p_no,p_yes,p_maybe');
    expect(large!.split(',').slice(5).map(Number)).toEqual(Object.values(rows[0]!.probabilities));
    expect(existsSync(`${csv}.unfinished`)).toBe(false);
  });

  test('resamples the middle of a scan to the spacing of the samples', async () => {
    const spaced = at('spaced.onnx');
    writeTarget(spaced, 'classification', ['no', 'yes', 'maybe'], { spacing: '1x1x1' });
    await run({ model: spaced, out: at('spaced.jsonl') });
    const [row] = rowsOf(at('spaced.jsonl'));
    const expected = await expectedOf('large.nii.gz', [1, 1, 1]);
    for (const [c, value] of Object.values(row!.probabilities).entries())
      expect(value).toBeCloseTo(expected[c]!, 5);
    // Which is not what its own voxels say.
    const own = await expectedOf('large.nii.gz');
    expect(Math.max(...expected.map((value, c) => Math.abs(value - own[c]!)))).toBeGreaterThan(5e-5);
  });

  test('gives each window its place', async () => {
    const out = at('windows.jsonl');
    const { rows } = await run({ out, per: 'window', batch: 4 });
    // 29 voxels take windows at 0, 8 and 13, 21 take 0 and 5, 15 take 0, 4 and 7; the small scan takes one.
    expect(rows).toBe(3 * 2 * 3 + 1);
    const [first, second] = rowsOf(out);
    expect(second!.centre[0] - first!.centre[0]).toBeCloseTo(8 * 0.5, 6);
    const alone = at('alone.jsonl');
    await run({ out: alone, per: 'window', batch: 1 });
    for (const [i, row] of rowsOf(alone).entries())
      for (const [name, p] of Object.entries(row.probabilities))
        expect(rowsOf(out)[i]!.probabilities[name]).toBeCloseTo(p, 5);
  });

  test('keeps what is finished when it is killed, and goes on; a scan that fails is left out', async () => {
    const out = at('again.jsonl');
    await run({ out });
    const whole = readFileSync(out, 'utf8');
    rmSync(out);
    const killed: Progress = {
      update: (done) => {
        if (done === 1) throw new Error('killed');
      },
      log: () => {},
      stop: () => {},
    };
    await expect(run({ out, reporter: { log: () => {}, start: () => killed } })).rejects.toThrow('killed');
    expect(existsSync(out)).toBe(false);
    const journal = `${out}.unfinished`;
    const lines = readFileSync(journal, 'utf8').trimEnd().split('\n');
    expect(lines).toHaveLength(2);
    writeFileSync(join(scans, 'zz.nii.gz'), 'no scan');
    const { failures } = await run({ out });
    expect(failures).toHaveLength(1);
    expect(readFileSync(out, 'utf8')).toBe(whole);
    rmSync(join(scans, 'zz.nii.gz'));

    // It is what the journal says that is written, and nothing computed again.
    const entry = JSON.parse(lines[1]!);
    entry.entry[0].values = [0.25, 0.25, 0.5];
    writeFileSync(journal, `${lines[0]}\n${JSON.stringify(entry)}\n`);
    await run({ out });
    expect(rowsOf(out)[0]).toMatchObject({ scan: 'large', class: 'maybe', probabilities: { maybe: 0.5 } });
    writeFileSync(journal, `${lines[0]}\n`);
    await expect(run({ out, per: 'window' })).rejects.toThrow(
      /other options[\s\S]*per "window" instead of "scan"/,
    );
    rmSync(journal);
  });

  test('replaces results of its own only: no table of the user, model, slice or link to one', async () => {
    const text = 'scan,x_mm,y_mm,z_mm,class,age\na,1,2,3,no,60\n';
    writeFileSync(at('labels.csv'), text);
    copyFileSync(model, at('model.csv'));
    symlinkSync(at('model.csv'), at('link.csv'));
    mkdirSync(at('dicom'));
    for (const z of [0, 1]) writeFileSync(at(`dicom/${z}.csv`), dicomBytes(ctSlice(z)));
    writeFileSync(at('journal.jsonl'), `{"scan":"a","features":[1]}\n`);
    writeFileSync(at('spaced.csv'), `\n${text}`);
    writeFileSync(at('spaced.jsonl'), '\n\n');
    for (const [out, reason, more] of [
      ['labels.csv', /no result of this command/, {}],
      ['journal.jsonl', /no result of this command/, {}],
      // What begins with an empty line is not empty.
      ['spaced.csv', /no result of this command/, {}],
      ['spaced.jsonl', /no result of this command/, {}],
      ['model.csv', /overwrite the model/, { model: at('model.csv') }],
      ['link.csv', /overwrite the model/, { model: at('model.csv') }],
      ['dicom/0.csv', /no result of this command/, { input: [at('dicom')] }],
      ['dicom/0.csv', /overwrite its own input/, { input: [at('dicom/0.csv')] }],
    ] as const) {
      const before = readFileSync(at(out));
      await expect(run({ out: at(out), ...more })).rejects.toThrow(reason);
      expect(readFileSync(at(out))).toEqual(before);
    }
    for (const out of ['twice.csv', 'twice.jsonl']) {
      writeFileSync(at(out), '');
      await run({ out: at(out) });
      const once = readFileSync(at(out));
      expect(await run({ out: at(out), per: 'window' })).toMatchObject({ failures: [] });
      await run({ out: at(out) });
      expect(readFileSync(at(out))).toEqual(once);
    }
  });

  test('passes over a scan that would be too large at the spacing of the samples', async () => {
    const [spaced, coarse] = [at('fine.onnx'), at('coarse.nii')];
    writeTarget(spaced, 'classification', ['no', 'yes', 'maybe'], { spacing: '1x1x1' });
    await writeNifti(coarse, { ...noiseVolume([16, 16, 16], 4), spacing: [100, 100, 100] });
    const { failures } = await run({ model: spaced, input: [coarse], out: at('coarse.jsonl') });
    expect(failures[0]!.message).toMatch(/too many voxels[\s\S]*1600×1600×1600/);
  });

  test('needs no more than a model, scans and a table on the command line', async () => {
    const out = at('typed.csv');
    expect(await p2wHere(['classify', '--model', model, '--input', scans, '--out', out])).toMatchObject({
      code: 0,
    });
    expect(readFileSync(out, 'utf8').trimEnd().split('\n')).toHaveLength(3);
  });

  test('a table stays as it is where no scan can be used', async () => {
    const out = at('kept.csv');
    await run({ out });
    const whole = readFileSync(out, 'utf8');
    const broken = at('broken.nii.gz');
    writeFileSync(broken, 'no scan');
    expect(await run({ out, input: [broken] })).toMatchObject({ scans: 0, failures: [{ source: broken }] });
    expect(readFileSync(out, 'utf8')).toBe(whole);
    expect(existsSync(`${out}.unfinished`)).toBe(false);
    const { code, stdout } = await p2wHere(['classify', '--model', model, '--input', broken, '--out', out]);
    expect(code).toBe(1);
    expect(stdout).toContain('none of the scans could be used: nothing was written');
    await expect(run({ out, input: [] })).rejects.toThrow(/there are no scans to go through/);
  });

  test('refuses what has no meaning', async () => {
    await expect(run({ out: at('x.txt') })).rejects.toThrow(/\.csv, \.jsonl/);
    await expect(run({ out: folder })).rejects.toThrow(/is a folder/);
    await expect(run({ out: at('x.csv'), overlap: 0.5, batch: 2 })).rejects.toThrow(
      /--overlap and --batch cannot be used with --per scan/,
    );
    writeTarget(at('segmenter.onnx'), 'segmentation', ['a']);
    await expect(run({ out: at('x.csv'), model: at('segmenter.onnx') })).rejects.toThrow(
      /a segmenter gives masks, not probabilities of classes[\s\S]*p2w segment/,
    );
  });
});
