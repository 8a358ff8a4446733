import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeModel, encodeModel } from '../../graphs/onnx/schema.js';
import type { Model } from '../../graphs/onnx/types.js';
import { embed } from '../../src/commands/embed.js';
import { exportModel } from '../../src/commands/export.js';
import { formatPrecision } from '../../src/commands/export-precision.js';
import { pretrain } from '../../src/commands/pretrain.js';
import { segment } from '../../src/commands/segment.js';
import { formatVerification, verify } from '../../src/commands/verify.js';
import { fromSettings } from '../../src/config/settings.js';
import { manifestPath } from '../../src/data/store/manifest.js';
import { openEncoder } from '../../src/inference/encoder.js';
import { relativeRms } from '../../src/inference/precision.js';
import { sealed, withSelfTest } from '../../src/inference/self-test.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { runtimeError } from '../../src/runtime/ort.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { writeTarget, writeThresholds } from '../inference/models.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const run = at('run');
const data = at('tiles');
const exported = (out: string, more = {}) => exportModel({ run, out: at(out), ...more });

beforeAll(async () => {
  mkdirSync(data);
  await sampleStore(data);
  const settings = ['whole=16x8x8', 'network.levels=2', 'network.width=4', 'batch=4', 'threads=1'];
  await pretrain({ data, out: run, config: fromSettings(settings, { steps: 10 }) });
  await exported('float32');
});

const model = () => at('float32/encoder.onnx');
/** Another file with what a model becomes, by a program that changes it on purpose. */
function changed(change: (model: Model) => Model): string {
  const path = at('changed.onnx');
  const { metadata, ...whole } = decodeModel(readFileSync(model()));
  const { content_sha256: _, ...others } = metadata;
  writeFileSync(path, encodeModel(change({ ...whole, metadata: others })));
  return path;
}

describe('another precision', () => {
  test.each(['float16-weights', 'float16', 'int8'] as const)(
    '%s: smaller, close to float32, and embeds',
    async (precision) => {
      const summary = await exported(precision, { precision, data });
      const report = summary.precision!;
      expect(report).toMatchObject({ precision, images: 8, changedDecisions: null });
      expect(report.error).toBeGreaterThan(1e-5);
      expect(report.error).toBeLessThan(precision === 'int8' ? 0.1 : 0.01);
      expect(report.bytes).toBeLessThan((precision === 'int8' ? 0.5 : 0.65) * report.float32Bytes);
      expect(statSync(summary.model).size).toBeGreaterThan(report.bytes);

      const tile = new Int16Array(16 * 8 * 8).map((_, i) => ((i * 7919) % 2000) - 1000);
      const features = await Promise.all(
        [model(), summary.model].map(async (path) => {
          const encoder = openEncoder(path, nodeEngine, 1);
          const { features: found } = await encoder.encode(tile, [1, 8, 8, 16]);
          await encoder.release();
          return found;
        }),
      );
      expect(relativeRms(features[0]!, features[1]!)).toBeLessThan(2 * report.error + 1e-3);
      expect(await verify(summary.model)).toMatchObject({ ok: true });
      const card = readFileSync(summary.card, 'utf8');
      expect(card).toContain(formatPrecision(report));
      expect(card).toContain('those of the float32 network');
      expect(card).toContain((await verify(summary.model)).sha256);
    },
  );

  test('is refused above a bound, and nothing is written', async () => {
    const attempt = exported('refused', { precision: 'int8', data, maxError: 1e-6 });
    await expect(attempt).rejects.toThrow(/int8 model differs too much[\s\S]*--max-error/);
    expect(statSync(at('refused'), { throwIfNoEntry: false })).toBeUndefined();
  });

  test('needs real images, such as the network was trained on', async () => {
    await expect(exported('x', { precision: 'int8' })).rejects.toThrow(/needs real images[\s\S]*add --data/);
    await expect(exported('x', { data })).rejects.toThrow(/--data cannot be used with float32/);
    await expect(exported('x', { precision: 'int8', data, maxError: Number.NaN })).rejects.toThrow(
      /--max-error: this must be a positive number/,
    );
    const manifest = readFileSync(manifestPath(data), 'utf8');
    writeFileSync(manifestPath(data), manifest.replace(/"normalise": ?"hu"/, '"normalise":"minmax"'));
    try {
      await expect(exported('x', { precision: 'float16', data })).rejects.toThrow(
        /not like those[\s\S]*16×8×8 voxels, normalise minmax[\s\S]*16×8×8 voxels, normalise hu/,
      );
    } finally {
      writeFileSync(manifestPath(data), manifest);
    }
  });
});

describe('verify', () => {
  test('says yes to a model as it was exported, in one line', async () => {
    const verification = await verify(model());
    expect(verification).toMatchObject({ ok: true, problem: '' });
    expect(verification.error).toBeLessThan(1e-5);
    expect(formatVerification(verification)).toMatch(/^yes: .*encoder\.onnx .*SHA-256 [0-9a-f]{64}$/);
  });

  test('says no to one whose weights have changed', async () => {
    const path = changed((whole) => {
      const [name, tensor] = [...whole.graph.initializers].find(([, { shape }]) => shape.length === 5)!;
      const weights = (tensor.data as Float32Array).map((v) => 1.1 * v);
      const initializers = new Map(whole.graph.initializers).set(name, { ...tensor, data: weights });
      return { ...whole, graph: { ...whole.graph, initializers } };
    });
    const verification = await verify(path);
    expect(verification.ok).toBe(false);
    expect(formatVerification(verification)).toMatch(/^no: .*differ from those at export by 0\.\d+/);
  });

  test('says no to one in which any bit has changed, whether or not its self-test sees it', async () => {
    const bytes = readFileSync(model());
    const path = at('flipped.onnx');
    for (let i = 1; i < 20; i++) {
      const flipped = Buffer.from(bytes);
      flipped[Math.floor((i / 20) * bytes.length)]! ^= 4;
      writeFileSync(path, flipped);
      expect(await verify(path)).toMatchObject({ ok: false });
    }
  });

  test.each([
    ['has no self-test', 'self_test', undefined, 'it contains no self-test: export it again'],
    ['has a damaged self-test', 'self_test', '{"input":', 'the self-test of the model is damaged'],
    ['does not say what it takes', 'preprocessing', undefined, 'its metadata lack preprocessing'],
  ])('says no to one that %s', async (_, key, value, problem) => {
    const path = changed((whole) => {
      const { [key]: _removed, ...metadata } = whole.metadata;
      return { ...whole, metadata: value === undefined ? metadata : { ...metadata, [key]: value } };
    });
    expect(await verify(path)).toMatchObject({ ok: false, problem });
  });

  test.each([
    ['normalise', 'foo', /how images are normalised/],
    ['window', '{"low":1000,"high":-1000}', /the window recorded in the file is invalid/],
    ['window', '[0, 1]', /the window recorded in the file is invalid/],
    ['size_multiple', 'abc', /damaged: size_multiple/],
    ['spacing', 'cheese', /damaged: spacing/],
    ['average', '1x2', /damaged: average/],
    ['tile_size', '16x7x8', /cannot be divided by the poolings/],
  ])('says no to one with %s %s, as embed does', async (key, value, problem) => {
    const path = changed((whole) => ({ ...whole, metadata: { ...whole.metadata, [key]: value } }));
    expect(await verify(path)).toMatchObject({ ok: false, problem: expect.stringMatching(problem) });
    await expect(embed({ model: path, input: [at('x.nii')], out: at('x.npy') })).rejects.toThrow(problem);
  });

  test.each([
    ['classification', { classes: '["a","b"]' }, /classes/],
    ['segmentation', { classes: 'lung' }, /classes/],
    ['segmentation', { sample_size: '16x16x7' }, /poolings/],
  ] as const)('says no to a model of %s with %o', async (kind, damage, problem) => {
    const described = { input: 'image', axes: 'DHW', preprocessing: '', license: '', intended_use: '' };
    const path = at('target.onnx');
    writeTarget(path, kind, ['a', 'b', 'c'], { ...described, ...damage });
    expect(await verify(path)).toMatchObject({ ok: false, problem: expect.stringMatching(problem) });
  });

  test.each([
    [1, ''],
    [4, 'it takes images of 4 channels, so p2w does not run it on whole scans: use the ONNX file'],
  ])('says yes to a segmenter of %i channels, and what is not run on whole scans', async (channels, note) => {
    const path = at('channels.onnx');
    const described = { input: 'image', axes: 'DHW', preprocessing: '', license: '', intended_use: '' };
    writeThresholds(path, { ...described, size_multiple: '1x1x1' }, channels);
    writeFileSync(path, sealed(encodeModel(await withSelfTest(decodeModel(readFileSync(path)), nodeEngine))));
    const verification = await verify(path);
    expect(verification).toMatchObject({ ok: true, problem: '', note });
    const line = formatVerification(verification);
    expect(line).toMatch(/^yes: .*$/);
    expect(line.endsWith(`${verification.sha256}${note && `; ${note}`}`)).toBe(true);
    const segmented = segment({ model: path, input: [at('x.nii')], out: at('x') });
    await expect(segmented).rejects.toThrow(note === '' ? /no such file/ : /several channels/);
  });

  test('says no to one whose self-test tolerates anything', async () => {
    for (const tolerance of [1e9, 0.01]) {
      const path = changed(({ metadata, ...whole }) => {
        const test = { ...JSON.parse(metadata.self_test!), tolerance };
        return { ...whole, metadata: { ...metadata, self_test: JSON.stringify(test) } };
      });
      expect(await verify(path)).toMatchObject({
        ok: false,
        problem: 'the self-test of the model tolerates more than it should',
      });
    }
  });

  test('says no to one whose self-test compares nothing', async () => {
    const path = changed(({ metadata, ...whole }) => {
      const test = { ...JSON.parse(metadata.self_test!), outputs: {} };
      return { ...whole, metadata: { ...metadata, self_test: JSON.stringify(test) } };
    });
    expect(await verify(path)).toMatchObject({ ok: false, problem: 'the self-test of the model is damaged' });
  });

  test('says no to files that are no models, and to one that is cut off', async () => {
    const bytes = readFileSync(model());
    for (const damaged of [
      Buffer.from('no model'),
      Buffer.alloc(0),
      bytes.subarray(0, bytes.length - 1000),
    ]) {
      writeFileSync(at('damaged.onnx'), damaged);
      const verification = await verify(at('damaged.onnx'));
      expect(verification.ok).toBe(false);
      expect(verification.problem).not.toBe('');
    }
  });

  test('says no in one line, whatever ONNX Runtime says', async () => {
    const load = async () => {
      throw runtimeError('ONNX Runtime rejected the model', new Error('Exception:\r\n\n  in a node\n'));
    };
    const verification = await verify(model(), { ...nodeEngine, load });
    expect(verification.ok).toBe(false);
    expect(formatVerification(verification)).toBe(
      `no: ${model()}: ONNX Runtime rejected the model: Exception: in a node`,
    );
  });

  test('a file that is not there is an error', async () => {
    await expect(verify(at('nowhere.onnx'))).rejects.toThrow(/no such file/);
  });
});
