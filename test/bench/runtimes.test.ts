import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { toFloat16 } from '../../graphs/onnx/float16.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { barChart } from '../../src/bench/bar-chart.js';
import { findBrowser } from '../../src/bench/engines/browser.js';
import { formatRuntimes } from '../../src/bench/runtimes/format.js';
import { DIFFERENT, errorOf, isEnough, timeRuns } from '../../src/bench/runtimes/measure.js';
import type { RuntimeRow } from '../../src/bench/runtimes/result.js';
import { inputsFor, parseSizes } from '../../src/bench/runtimes/signature.js';
import { machineFacts } from '../../src/machine.js';
import type { EngineTensor } from '../../src/runtime/engine.js';
import { readSignature } from '../../src/runtime/node.js';
import { p2w } from '../commands/cli.js';
import { p2wHere } from '../commands/here.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { noise } from '../graphs/run.js';

const folder = temporaryFolder();
const model = join(folder, 'model.onnx');

/** Two convolutions with ReLUs behind them, on images of any number and width. */
function writeModel(): void {
  const g = new GraphBuilder('network');
  const weights = (shape: number[]) =>
    g.constant({
      type: 'float32',
      shape,
      data: noise(
        shape.reduce((a, b) => a * b),
        1,
        -0.3,
        0.3,
      ),
    });
  const x = g.input('image', 'float32', ['N', 2, 8, 'W']);
  const hidden = g.add('Relu', [g.add('Conv', [x, weights([4, 2, 3, 3])], { pads: [1, 1, 1, 1] })]);
  const y = g.add('Relu', [g.add('Conv', [hidden, weights([4, 4, 3, 3])], { pads: [1, 1, 1, 1] })]);
  g.output('y', g.add('ReduceMean', [y, g.integers([2, 3])], { keepdims: 0 }));
  writeFileSync(model, encodeModel(toModel(g.build())));
}
writeModel();

describe('inputs for a model', () => {
  test('are as long as its signature and the sizes say, and 1 where neither does', async () => {
    const signature = await readSignature(readFileSync(model));
    const shapeOf = (...sizes: string[]) => inputsFor(signature, parseSizes(sizes)).image!.shape;
    expect(shapeOf()).toEqual([1, 2, 8, 1]);
    expect(shapeOf('N=3', 'W=16')).toEqual([3, 2, 8, 16]);
    expect(shapeOf('image=2x2x8x4')).toEqual([2, 2, 8, 4]);
    const [first, again] = [inputsFor(signature, {}), inputsFor(signature, {})];
    expect(first).toEqual(again);
  });

  test.each([
    ['D=3', /neither an input nor a dimension[\s\S]*N, W, image/],
    ['N=0', /no sizes/],
    ['N', /no sizes/],
    ['N=2x3', /a dimension has one length/],
    ['image=2x3x8x4', /does not take this shape[\s\S]*\[N,2,8,W\]/],
  ])('cannot be %s', async (size, message) => {
    const signature = await readSignature(readFileSync(model));
    expect(() => inputsFor(signature, parseSizes([size]))).toThrow(message);
  });

  test('are numbers of their types, and nothing can be made of other things', () => {
    const of = (type: string | null, shape = [4]) => inputsFor([{ name: 'x', type, shape }], {}).x!.data;
    expect(of('int64')).toBeInstanceOf(BigInt64Array);
    expect(of('float16')).toBeInstanceOf(Uint16Array);
    expect([...(of('bool') as Uint8Array)].every((value) => value <= 1)).toBe(true);
    expect(() => of('string')).toThrow(/x: no values can be made[\s\S]*string/);
    expect(() => of(null)).toThrow(/no tensor/);
    expect(() => of('float32', [1e6, 1e6])).toThrow(/1,000,000,000,000 values/);
  });
});

describe('a measurement', () => {
  const floats = (...values: number[]): EngineTensor => ({
    ...{ type: 'float32', shape: [values.length], data: Float32Array.from(values) },
  });

  test('compares outputs by the largest relative difference; what is no float must be equal', () => {
    expect(errorOf({ a: floats(3, 4), b: floats(1) }, { a: floats(3, 4.5), b: floats(1) })).toBeCloseTo(
      0.1,
      6,
    );
    expect(errorOf({ a: floats(1) }, { a: floats(Number.NaN) })).toBe(DIFFERENT);
    expect(errorOf({ a: floats(1) }, { a: floats(1, 2) })).toBe(DIFFERENT);
    expect(errorOf({ a: floats(0, 0) }, { a: floats(0.3, 0.4) })).toBeCloseTo(0.5, 6);
    const classes = (value: number): EngineTensor => ({
      type: 'int32',
      shape: [1],
      data: Int32Array.of(value),
    });
    expect(errorOf({ c: classes(1) }, { c: classes(1) })).toBe(0);
    expect(errorOf({ c: classes(1) }, { c: classes(2) })).toBe(DIFFERENT);
  });

  test('compares float16 as numbers, whether they come as bits or not', () => {
    const halves = (data: EngineTensor['data']): EngineTensor => ({
      ...{ type: 'float16', shape: [2], data },
    });
    const three = toFloat16(Float32Array.of(3, 4));
    const other = toFloat16(Float32Array.of(3, 4.5));
    expect(errorOf({ h: halves(three) }, { h: halves(other) })).toBeCloseTo(0.1, 6);
    expect(errorOf({ h: halves(three) }, { h: halves(Float32Array.of(3, 4)) })).toBe(0);
  });

  test('warms up as a runner does, and times single runs', async () => {
    const began = performance.now();
    let runs = 0;
    const run = async () => {
      runs++;
      return {};
    };
    const seconds = await timeRuns({ run }, { rounds: 3, seconds: 20 });
    expect(seconds).toHaveLength(3);
    expect(runs).toBeGreaterThan(3);
    expect(performance.now() - began).toBeGreaterThan(500);
  });

  test('ends after all rounds, or where they are long after three of them', () => {
    const patience = { rounds: 5, seconds: 20 };
    expect(isEnough([1, 1, 1, 1], patience)).toBe(false);
    expect(isEnough([1, 1, 1, 1, 1], patience)).toBe(true);
    expect(isEnough([15, 15], patience)).toBe(false);
    expect(isEnough([15, 15, 15], patience)).toBe(true);
  });
});

describe('bench runtimes', () => {
  test('runs a model wherever it can, compares it, and says why it cannot elsewhere', async () => {
    const rounds = 100;
    const began = performance.now();
    const line = ['bench', 'runtimes', '--model', model, '--sizes', 'W=8', '--threads', '1'];
    const { code, stdout, stderr } = await p2w([
      ...[...line, '--rounds', `${rounds}`, '--out', join(folder, 'out'), '--json'],
    ]);
    const seconds = (performance.now() - began) / 1000;
    expect([code, stderr.includes('internal error')]).toEqual([0, false]);
    const { rows, absent, inputs } = JSON.parse(stdout.trimEnd().split('\n').at(-1)!);
    expect(inputs).toEqual({ image: 'float32 [1,2,8,8]' });
    const key = ({ name, place, precision }: RuntimeRow) => `${name} in ${place}, ${precision}`;
    const measured = (rows as RuntimeRow[]).map(key);
    expect(measured).toEqual(
      expect.arrayContaining([
        'onnxruntime-node, CPU in Node.js, float32',
        'onnxruntime-node, CPU in Node.js, float16',
        'onnxruntime-node, CPU in Node.js, int8',
        'onnxruntime-web, WebAssembly in Node.js, float32',
        ...(findBrowser() ? ['onnxruntime-web, WebAssembly in Chromium, float32'] : []),
      ]),
    );
    for (const row of rows as RuntimeRow[]) {
      expect(row.error, key(row)).toBeLessThan(
        { float32: 1e-5, 'float16-weights': 0, float16: 1e-2, int8: 0.1 }[row.precision],
      );
      expect(row.runs, key(row)).toBe(rounds);
      expect(row.seconds.p50).toBeLessThanOrEqual(row.seconds.p99);
    }
    // A round is one run, however short.
    const inNode = (rows as RuntimeRow[]).filter(({ place }) => place === 'Node.js').length;
    expect(seconds).toBeLessThan(0.2 * rounds * inNode);
    expect(rows[0]).toMatchObject({ error: 0, threads: 1 });
    for (const { name, reason } of absent) expect(reason, name).toMatch(/\w/);
    const known = [...measured, ...absent.map(key)].join('\n');
    for (const name of ['CUDA', 'WebGPU in Node.js', 'WebGPU in Chromium']) expect(known).toContain(name);
    for (const name of ['runtimes.json', 'runtimes.md', 'runtimes.svg'])
      expect(existsSync(join(folder, 'out', name))).toBe(true);
  });

  test.each([
    [['--model', 'no.onnx'], /no\.onnx: no such file/],
    [['--model', model, '--preset', 'tiny'], /--preset: with --model there is no preset/],
    [['--model', model, '--mode', 'training'], /--mode/],
    [['--model', model, '--batch', '8'], /--batch: a model has its own sizes/],
    [['--sizes', 'N=1'], /--sizes: a preset has its own sizes/],
    [['--baseline', 'torch'], /--baseline/],
    [['--rounds', '0'], /--rounds/],
  ])('refuses %j', async (options, message) => {
    const { code, stderr } = await p2wHere(['bench', 'runtimes', ...options], folder);
    expect([1, 2]).toContain(code);
    expect(stderr).toMatch(message);
  });

  test('refuses a browser and a folder that cannot be, before anything is measured', async () => {
    writeFileSync(join(folder, 'a-file'), '');
    for (const [args, message] of [
      [['--browser', '/nonexistent'], /--browser: there is no such browser/],
      [['--out', 'a-file'], /a-file: a file or folder with this name already exists/],
    ] as const) {
      const { code, stderr } = await p2wHere(['bench', 'runtimes', '--preset', 'tiny', ...args], folder);
      expect(code).toBeGreaterThan(0);
      expect(stderr).toMatch(message);
      expect(stderr).not.toMatch(/ ms\n/);
    }
  });

  test('refuses what is no model, in ONNX Runtime’s words', async () => {
    writeFileSync(join(folder, 'text.onnx'), 'not a model');
    const { code, stderr } = await p2wHere(['bench', 'runtimes', '--model', 'text.onnx'], folder);
    expect(code).toBe(1);
    expect(stderr).toMatch(/ONNX Runtime rejected the model/);
  });

  test('prints a table that is Markdown, and a list of what is absent', () => {
    const row: RuntimeRow = {
      ...{ name: 'a runtime', place: 'Chromium', precision: 'float32', threads: 2, detail: '' },
      ...{ loadSeconds: 0.5, runs: 3, throughput: 10_412, peakBytes: null, error: 1.5e-7 },
      seconds: { p50: 0.025, p90: 0.03, p99: 0.0404, min: 0.02, max: 0.05 },
    };
    const absent = { name: 'another', place: 'Node.js', precision: 'int8', reason: 'no reason' } as const;
    const result = {
      title: 'a model',
      inputs: { x: 'float32 [1]' },
      modelBytes: 1e6,
      machine: machineFacts(),
    };
    const text = formatRuntimes({ ...result, rows: [row], absent: [absent] });
    expect(text.split('\n').map((line) => line.replaceAll(/ +/g, ' '))).toContain(
      '| a runtime | Chromium | float32 | 2 | 500 | 25 | 30 | 40.4 | 10,400 | – | 1.5e-7 |',
    );
    expect(text).toContain('\n- another in Node.js, int8: no reason');
  });
});

test('a bar that is far longer than the others is cut off, and still has its number', () => {
  const bar = (name: string, median: number) => ({ name, median, min: median, max: median });
  const widths = (svg: string) =>
    [...svg.matchAll(/<rect x="[\d.]+" y="\d+" width="([\d.]+)"/g)].map(([, width]) => Number(width));
  const [one, two, cut] = widths(barChart('times', [bar('a', 1), bar('b', 2), bar('c', 1000)])) as number[];
  expect(two! / one!).toBeCloseTo(2, 1);
  expect(cut! / one!).toBeCloseTo(12, 1);
  expect(barChart('times', [bar('a', 1), bar('c', 1000)])).toContain('1,000 s');
});
