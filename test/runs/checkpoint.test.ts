import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Parameter } from '../../graphs/nn/module.js';
import {
  checkpointPath,
  listCheckpoints,
  loadCheckpoint,
  networkHash,
  parseCheckpoint,
  resolveCheckpoint,
  saveCheckpoint,
  type TrainState,
} from '../../src/runs/checkpoint.js';
import type { State } from '../../src/runs/state.js';
import { plateauStart } from '../../src/train/schedule.js';
import { readSafetensors, writeSafetensors } from '../../src/weights/safetensors-file.js';
import { errorOf, temporaryFolder } from '../data/store/tiles-sample.js';

const run = temporaryFolder();
const path = checkpointPath(run, 'last');

const parameter = (name: string, shape: readonly number[]): Parameter =>
  ({ name, shape, trainable: true }) as unknown as Parameter;
const PARAMETERS = [parameter('conv.weight', [2, 1]), parameter('conv.bias', [2])];

const float = (shape: readonly number[], ...values: number[]) =>
  ({ type: 'float32', shape, data: Float32Array.from(values) }) as const;
const TENSORS: State = new Map([
  ['conv.weight', float([2, 1], 1, 1 / 3)],
  ['conv.bias', float([2], -0, Number.MIN_VALUE)],
  ['optimizer.m.conv.weight', float([2, 1], 3e-39, 0)],
]);
const STATE: TrainState = {
  step: 12,
  epoch: 3,
  schedule: { ...plateauStart(1e-3), best: 0.1 + 0.2 },
  best: { step: 8, validationLoss: 0.1 + 0.2 },
  flatValidations: 0,
  stopped: false,
  metricsBytes: 345,
  samples: 40,
  seed: 1,
  networkHash: networkHash(PARAMETERS),
  dataHash: 'd',
};

beforeEach(() => {
  rmSync(join(run, 'checkpoints'), { recursive: true, force: true });
  mkdirSync(join(run, 'checkpoints'));
  saveCheckpoint(path, TENSORS, STATE);
});

describe('a checkpoint', () => {
  test('comes back to the bit', () => {
    expect(loadCheckpoint(path, PARAMETERS)).toEqual({ tensors: TENSORS, state: STATE });
  });

  test('is one safetensors file that says what it is', () => {
    expect(readdirSync(join(run, 'checkpoints'))).toEqual(['last.safetensors']);
    const { tensors, metadata } = readSafetensors(path);
    expect([...tensors.keys()]).toEqual([...TENSORS.keys()]);
    expect(metadata).toMatchObject({ format: 'parts2whole-checkpoint', version: '1' });
    expect(JSON.parse(metadata.state!)).toEqual(STATE);
  });

  test('of a network with other shapes is refused, and the message names both', () => {
    const others = [
      parameter('conv.weight', [4, 1]),
      parameter('conv.bias', [2]),
      parameter('new.bias', [1]),
    ];
    const error = errorOf(() => loadCheckpoint(path, others));
    expect(error).toMatchObject({ name: 'UserError', kind: 'run' });
    expect(error.message).toContain('conv.weight is [2,1], not [4,1]; new.bias is missing, not [1]');
  });

  test('of a network with more parameters is refused', () => {
    expect(errorOf(() => loadCheckpoint(path, [PARAMETERS[0]!])).message).toContain(
      'belongs to a different network',
    );
  });

  test.each<[string, (metadata: Record<string, string>) => Record<string, string>, RegExp]>([
    ['of a later version', (m) => ({ ...m, version: '2' }), /version 2[\s\S]*version 1/],
    ['that is an export', () => ({ format: 'pt' }), /got: +pt, version none/],
    ['without a state', ({ state: _, ...m }) => m, /training state .* is damaged/],
    ['with half a state', (m) => ({ ...m, state: m.state!.slice(0, 40) }), /damaged/],
    ['with a negative step', (m) => ({ ...m, state: JSON.stringify({ ...STATE, step: -1 }) }), /damaged/],
    [
      'with a key that we do not know',
      (m) => ({ ...m, state: JSON.stringify({ ...STATE, x: 1 }) }),
      /damaged/,
    ],
  ])('%s is refused', (_, change, message) => {
    const { tensors, metadata } = readSafetensors(path);
    const named = [...tensors].map(([name, tensor]) => ({ name, ...tensor }));
    writeSafetensors(path, named, change({ ...metadata }));
    const error = errorOf(() => loadCheckpoint(path));
    expect(error).toMatchObject({ name: 'UserError', kind: 'run', facts: { where: path } });
    expect(error.message).toMatch(message);
  });

  test('with integers for weights is refused', () => {
    const { metadata } = readSafetensors(path);
    writeSafetensors(path, [{ name: 'w', dtype: 'I32', shape: [1], data: Int32Array.of(1) }], metadata);
    expect(errorOf(() => loadCheckpoint(path)).message).toMatch(/w: .*wrong type[\s\S]*I32[\s\S]*F32/);
  });

  test('keeps the one before when it cannot be saved', () => {
    const torn: State = new Map([['w', { ...float([2], 1), shape: [2] }]]);
    expect(() => saveCheckpoint(path, torn, STATE)).toThrow('do not match');
    expect(loadCheckpoint(path).state).toEqual(STATE);
    expect(readdirSync(join(run, 'checkpoints'))).toEqual(['last.safetensors']);
  });
});

test('kept checkpoints are listed by step', () => {
  for (const step of [100_000_000, 20, 3])
    saveCheckpoint(checkpointPath(run, step), TENSORS, { ...STATE, step });
  writeFileSync(join(run, 'checkpoints', '.step-00000009.safetensors.0123abcd.tmp'), '');
  expect(listCheckpoints(run).map(({ step }) => step)).toEqual([3, 20, 100_000_000]);
  expect(listCheckpoints(run)[1]!.path).toBe(join(run, 'checkpoints', 'step-00000020.safetensors'));
  expect(listCheckpoints(join(run, 'none'))).toEqual([]);
});

describe('a checkpoint by name', () => {
  test('is found', () => {
    saveCheckpoint(checkpointPath(run, 20), TENSORS, { ...STATE, step: 20 });
    expect(resolveCheckpoint(run, 20).state.step).toBe(20);
    saveCheckpoint(checkpointPath(run, 'best'), TENSORS, { ...STATE, step: 8 });
    expect(resolveCheckpoint(run, 'best').state.step).toBe(8);
  });

  test('that does not exist is an error that says which do', () => {
    saveCheckpoint(checkpointPath(run, 20), TENSORS, STATE);
    expect(errorOf(() => resolveCheckpoint(run, 7)).message).toContain('one of the steps 20');
    mkdirSync(join(run, 'fresh'), { recursive: true });
    expect(errorOf(() => resolveCheckpoint(join(run, 'fresh'), 'best')).message).toContain(
      'a run that has been trained',
    );
  });

  test('is read as users write it', () => {
    expect(['last', 'best', '40'].map(parseCheckpoint)).toEqual(['last', 'best', 40]);
    for (const text of ['', 'first', '-1', '1.5', '1e400'])
      expect(errorOf(() => parseCheckpoint(text))).toMatchObject({ kind: 'usage', facts: { got: text } });
  });
});
