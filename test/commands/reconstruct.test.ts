import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { TYPE_CODES } from '../../graphs/onnx/types.js';
import { type ReconstructOptions, reconstruct } from '../../src/commands/reconstruct.js';
import { resizedPart } from '../../src/data/proxies/parts2whole/resized-part.js';
import { orientLPS } from '../../src/data/scan/geometry.js';
import { readScanHeader, readVolume } from '../../src/data/scan/index.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import type { Volume, XYZ } from '../../src/data/scan/volume.js';
import { portableModel } from '../../src/execution/models.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { writePretrained } from '../inference/models.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const scanOf = (size: XYZ, seed: number): Volume => ({
  ...noiseVolume(size, seed),
  ...{ spacing: [0.5, 1, 2], origin: [10, 20, 30], direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1] },
});
const run = (options: Pick<ReconstructOptions, 'model' | 'input' | 'out'>) =>
  reconstruct({ threads: 1, format: 'nii', ...options });

/** What a model as it is says of one image [D,H,W]. */
async function reconstructionOf(model: string, data: Int16Array, [x, y, z]: XYZ): Promise<Float32Array> {
  const session = await nodeEngine.load(readFileSync(model), { threads: 1 });
  const { reconstruction } = await session.run({ hu: { type: 'int16', shape: [1, z, y, x], data } });
  await session.release();
  return reconstruction!.data as Float32Array;
}

/** An autoencoder that gives the means of 2×2×1 voxels back. */
function writeAveraging(path: string): void {
  const g = new GraphBuilder('averaging');
  const hu = g.add('Cast', [g.input('hu', 'int16', ['N', 8, 16, 16])], { to: TYPE_CODES.float32 });
  const values = g.add('Mul', [g.add('Add', [hu, g.scalar(1000)]), g.scalar(1 / 2000)]);
  const window = { kernel_shape: [1, 2, 2], strides: [1, 2, 2] };
  const means = g.add('AveragePool', [g.reshape(values, [-1, 1, 8, 16, 16])], window);
  g.output('reconstruction', means);
  const metadata = {
    ...{ normalise: 'hu', window: '{"low":-1000,"high":1000}', tile_size: '16x16x8' },
    ...{ size_multiple: '2x2x1', average: '2x2x1', proxy: 'genesis' },
  };
  writeFileSync(path, portableModel(g.build(), { documentation: 'a test', metadata }));
}

describe('reconstruct', () => {
  test('gives a scan of one window what the model makes of it, on its own grid, with the error at each voxel', async () => {
    const model = at('genesis.onnx');
    writePretrained(model, 'autoencoder');
    const volume = scanOf([16, 16, 8], 1);
    await writeNifti(at('one.nii'), volume);
    const { errors } = await run({ model, input: [at('one.nii')], out: at('one') });
    const lps = orientLPS(volume);
    const expected = await reconstructionOf(model, lps.voxels as Int16Array, [16, 16, 8]);
    const image = await readVolume(at('one/reconstructions/one.nii'));
    expect((await readScanHeader(at('one/reconstructions/one.nii'))).grid).toEqual(
      (await readScanHeader(at('one.nii'))).grid,
    );
    const got = orientLPS(image).voxels;
    const error = orientLPS(await readVolume(at('one/errors/one.nii'))).voxels;
    let [sum, squares] = [0, 0];
    for (const [i, value] of expected.entries()) {
      expect(Math.abs(got[i]! - (2000 * value - 1000))).toBeLessThan(0.51);
      const own = Math.abs(value - (lps.voxels[i]! + 1000) / 2000);
      expect(error[i]).toBeCloseTo(own, 4);
      sum += own;
      squares += own ** 2;
    }
    expect(errors[0]!.meanAbsoluteError).toBeCloseTo(sum / expected.length, 5);
    expect(errors[0]!.meanSquaredError).toBeCloseTo(squares / expected.length, 5);
    expect(readFileSync(at('one/errors.csv'), 'utf8')).toMatch(
      /^scan,mean_absolute_error,mean_squared_error\none,0\.\d+,/,
    );
    const { width, height } = decode(readFileSync(at('one/pictures/one.png')));
    expect(height).toBeGreaterThan(width / 3);
  });

  test('the table has all scans that have reconstructions in the folder, of whichever call', async () => {
    const model = at('genesis.onnx');
    await writeNifti(at('two.nii'), scanOf([16, 16, 8], 2));
    const first = await run({ model, input: [at('one.nii')], out: at('both') });
    const second = await run({ model, input: [at('two.nii')], out: at('both') });
    const rows = [...second.errors, ...first.errors].map((row) => Object.values(row).join(','));
    expect(second.errors).toHaveLength(1);
    expect(readFileSync(at('both/errors.csv'), 'utf8')).toBe(
      `scan,mean_absolute_error,mean_squared_error\n${rows.join('\n')}\n`,
    );
  });

  test('brings averaged reconstructions back to the voxels of the scan, whatever its size', async () => {
    const model = at('averaged.onnx');
    writePretrained(model, 'autoencoder', {}, [2, 2, 1]);
    await writeNifti(at('odd.nii'), scanOf([41, 33, 9], 2));
    const { failures } = await run({ model, input: [at('odd.nii')], out: at('odd') });
    expect(failures).toEqual([]);
    const { voxels, size } = await readVolume(at('odd/errors/odd.nii'));
    expect(size).toEqual([41, 33, 9]);
    expect(voxels.every((error) => error >= 0 && error <= 1)).toBe(true);
  });

  test('puts each averaged window where it lies: one that only averages gives a ramp back', async () => {
    const model = at('averaging.onnx');
    writeAveraging(model);
    const [width, height, depth] = [41, 33, 20];
    const scan = scanOf([width, height, depth], 2);
    const place = (i: number) => [
      i % width,
      Math.floor(i / width) % height,
      Math.floor(i / (width * height)),
    ];
    for (const i of scan.voxels.keys()) {
      const [x, y, z] = place(i) as [number, number, number];
      scan.voxels[i] = 10 * x + 7 * y + 13 * z - 300;
    }
    await writeNifti(at('ramp.nii'), scan);
    expect(await run({ model, input: [at('ramp.nii')], out: at('ramp') })).toMatchObject({ failures: [] });
    const { voxels } = await readVolume(at('ramp/reconstructions/ramp.nii'));
    // Away from the borders, where blocks reach out of the scan.
    const inner = [...voxels.keys()].filter((i) => {
      const [x, y] = place(i) as [number, number, number];
      return x > 1 && x < width - 3 && y > 1 && y < height - 3;
    });
    const differences = inner.map((i) => Math.abs(voxels[i]! - scan.voxels[i]!));
    expect(Math.max(...differences)).toBeLessThan(1.01);
  });

  test('a model of parts is given parts, cut and resized as in training', async () => {
    const volume = noiseVolume([16, 16, 8], 3);
    // Values beyond the window, which training clips before it interpolates.
    volume.voxels.set(volume.voxels.map((value) => 3 * value));
    const box = { start: [4, 4, 2], size: [8, 8, 4] } as const;
    const seen = resizedPart(volume, box, volume.size, { low: -1000, high: 1000 });

    const model = at('parts.onnx');
    const part = JSON.stringify({ scale: [1 / 8, 1 / 8], ratio: [1, 1], isotropic: true });
    writePretrained(model, 'autoencoder', { proxy: 'parts2whole', part });
    await writeNifti(at('parts.nii'), volume);
    await run({ model, input: [at('parts.nii')], out: at('parts') });
    const values = await reconstructionOf(model, Int16Array.from(seen, Math.round), [16, 16, 8]);
    const image = await readVolume(at('parts/reconstructions/parts.nii'));
    for (const [i, value] of values.entries())
      expect(Math.abs(image.voxels[i]! - (2000 * value - 1000))).toBeLessThan(1);
  });

  test('refuses a model that reconstructs nothing, or says nonsense of its parts or averages', async () => {
    writePretrained(at('encoder.onnx'), 'encoder');
    const input = [at('one.nii')];
    await expect(run({ model: at('encoder.onnx'), input, out: at('x') })).rejects.toThrow(
      /an encoder gives feature vectors, not reconstructions[\s\S]*p2w export --what autoencoder[\s\S]*p2w embed/,
    );
    writePretrained(at('nonsense.onnx'), 'autoencoder', { part: '{"scale":[2,3]}' });
    const { failures } = await run({ model: at('nonsense.onnx'), input, out: at('y') });
    expect(failures[0]!.message).toMatch(/damaged: part/);
    writePretrained(at('nonsense.onnx'), 'autoencoder', { average: '0x0x0' });
    await expect(run({ model: at('nonsense.onnx'), input, out: at('z') })).rejects.toThrow(
      /damaged: average/,
    );
    writePretrained(at('nonsense.onnx'), 'autoencoder', { average: '2x2x2' });
    const { failures: wrong } = await run({ model: at('nonsense.onnx'), input, out: at('z') });
    expect(wrong[0]!.message).toMatch(
      /output "reconstruction"[\s\S]*got: +\[1,1,8,16,16\][\s\S]*expected: +\[1,1,4,8,8\]/,
    );
  });
});
