import { describe, expect, test } from 'vitest';
import { resolveConfig } from '../../src/config/pretraining.js';
import { silent } from '../../src/progress.js';
import type { TrainState } from '../../src/runs/checkpoint.js';
import { type LoopParts, trainLoop } from '../../src/train/loop.js';
import { plateauStart } from '../../src/train/schedule.js';
import { ratesOf, type Stepper } from '../../src/train/stepper.js';

const VALIDATE_EVERY = 10;
const config = resolveConfig({
  preset: 'tiny',
  config: { batch: 4, microBatch: 2, steps: 43, learningRate: 1, checkpoints: { every: 4 } },
});

/** A training whose loss is told by the step's number, and what has become of it. */
async function train(
  stepsAtOnce: number,
  changes: {
    lossOf?: (step: number) => number;
    scaleOf?: (step: number) => { gradientNorm?: number; lossScale?: number };
    interruptAt?: number;
    criterionOf?: (step: number) => number;
    deviationOf?: (step: number) => number;
    steps?: number;
    warmup?: number;
    start?: Partial<TrainState>;
  } = {},
) {
  const {
    lossOf = (step) => 1 / step,
    scaleOf,
    interruptAt = Number.POSITIVE_INFINITY,
    criterionOf,
    deviationOf,
    steps = config.steps,
    warmup = 0,
  } = changes;
  const did: string[] = [];
  const runs: number[] = [];
  let batches = 0;
  let done = 0;
  const stepper: Stepper = {
    parameters: [],
    stepsAtOnce,
    readState: async () => new Map(),
    async run(steps, learningRate, first) {
      const rates = ratesOf(learningRate, steps.length);
      runs.push(steps.length);
      return steps.map((fed, i) => {
        done = first + i;
        const numbers = fed.map(({ number }) => number!.data[0]);
        expect(numbers).toEqual([2 * done - 2, 2 * done - 1]);
        return { loss: lossOf(done), gradientNorm: rates[i]!, ...scaleOf?.(done) };
      });
    },
    release: async () => {},
  };
  const parts: LoopParts = {
    config: { ...config, steps, schedule: { ...config.schedule, warmup } },
    stepper,
    microBatches: 2,
    next: async () => ({ number: { type: 'int32', shape: [], data: Int32Array.of(batches++) } }),
    async validate() {
      did.push(`validate after ${done}`);
      const criterion = criterionOf && { criterion: criterionOf(done) };
      const deviation = deviationOf && { outputDeviation: deviationOf(done) };
      return { loss: done < 20 ? 1 / (done + 1) : 1, scores: {}, ...criterion, ...deviation };
    },
    lossName: 'MSE',
    metrics: {
      append: (record) => did.push(JSON.stringify(record)),
      bytes: () => did.length,
      sync: () => {},
      close: () => {},
    },
    events: { scalar: () => {}, flush: () => {}, close: () => {} },
    progress: silent.start({ label: 'training', total: config.steps, unit: 'steps' }),
    epochLength: 20,
    validateEvery: VALIDATE_EVERY,
    kept: new Set([7, 20]),
    async save(names, { step }) {
      did.push(`save ${names.join(', ')} after ${step}`);
    },
    interrupted: async () => done >= interruptAt,
    stepped: () => {},
  };
  const start: TrainState = {
    ...{ step: 0, epoch: 0, schedule: plateauStart(config.learningRate), best: null, flatValidations: 0 },
    ...{ stopped: false, metricsBytes: 0, seed: 1, samples: 20, networkHash: '', dataHash: '' },
    ...changes.start,
  };
  const { state, ending } = await trainLoop(parts, start);
  return { did, runs, ending, step: state.step, best: state.best };
}

test('the best checkpoint has the lowest loss, or the lowest criterion where there is one', async () => {
  const byLoss = await train(1);
  expect(byLoss.best).toEqual({ step: 10, validationLoss: 1 / 11 });
  expect(byLoss.did).not.toContain('save best, last after 30');
  const criterionOf = (step: number) => Math.abs(step - 30);
  const byCriterion = await train(1, { criterionOf });
  expect(byCriterion.best).toEqual({ step: 30, validationLoss: 1, criterion: 0 });
  expect(byCriterion.did).toContain('save best, last after 30');
});

test('what has stopped early does nothing when it is resumed', async () => {
  const start = { step: 20, stopped: true, metricsBytes: 1 };
  expect(await train(3, { start })).toMatchObject({ did: [], runs: [], ending: 'early-stop', step: 20 });
});

test('outputs that are the same for all samples end a training, but not at its start, nor once only', async () => {
  const flatFrom = (first: number, last = Number.POSITIVE_INFINITY) => ({
    steps: 300,
    deviationOf: (step: number) => (step >= first && step <= last ? 1e-5 : 0.1),
  });
  await expect(train(1000, flatFrom(0))).rejects.toThrow('step 210: ');
  await expect(train(1000, flatFrom(240))).rejects.toThrow('step 250: ');
  expect(await train(1000, flatFrom(240, 240))).toMatchObject({ ending: 'finished', step: 300 });
  expect(await train(1000, flatFrom(0, 200))).toMatchObject({ ending: 'finished', step: 300 });
});

test.each([1, 1000])('the learning rate rises in a warm-up, %i steps in a run', async (stepsAtOnce) => {
  const { did } = await train(stepsAtOnce, { warmup: 4 });
  const steps = did.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const trained = steps.filter(({ gradientNorm }) => gradientNorm !== undefined).slice(0, 6);
  expect(trained.map(({ learningRate }) => learningRate)).toEqual([0.25, 0.5, 0.75, 1, 1, 1]);
  // What the stepper was given.
  expect(trained.map(({ gradientNorm }) => gradientNorm)).toEqual([0.25, 0.5, 0.75, 1, 1, 1]);
});

describe('several steps in a run', () => {
  test.each([3, 7, 1000])('at most %i: everything is as with single steps', async (stepsAtOnce) => {
    const single = await train(1);
    const several = await train(stepsAtOnce);
    expect(single.runs).toEqual(new Array(43).fill(1));
    expect(several.runs.length).toBeLessThan(single.runs.length);
    expect(Math.max(...several.runs)).toBeLessThanOrEqual(stepsAtOnce);
    expect(several.did).toEqual(single.did);
    expect(several.did).toContain('validate after 30');
    expect(several.did).toContain('save 7, last after 7');
    expect(several.did).toContain('save last after 8');
  });

  test('runs end where the state is looked at', async () => {
    const { runs } = await train(1000);
    let done = 0;
    const ends = runs.map((steps) => {
      done += steps;
      return done;
    });
    expect(ends).toEqual([4, 7, 8, 10, 12, 16, 20, 24, 28, 30, 32, 36, 40, 43]);
  });

  test('an interruption ends the training after the run, with all its steps saved', async () => {
    const { did, ending, step } = await train(1000, { interruptAt: 5 });
    expect({ ending, step }).toEqual({ ending: 'interrupted', step: 7 });
    expect(did.at(-1)).toBe('save last after 7');
  });

  test('a loss that is no number is told with its own step', async () => {
    const lossOf = (step: number) => (step >= 6 ? Number.NaN : 1);
    await expect(train(1000, { lossOf })).rejects.toThrow('step 6: ');
  });
});

describe('with a loss scale', () => {
  test('a step that was skipped has no gradient in the metrics, and training goes on', async () => {
    const scaleOf = (step: number) =>
      step === 5 ? { gradientNorm: Number.POSITIVE_INFINITY, lossScale: 8 } : { lossScale: 4 };
    const { did, step } = await train(3, { scaleOf });
    expect(step).toBe(43);
    expect(did).toContain('{"step":5,"epoch":0,"learningRate":1,"lossScale":8}');
    expect(did).toContain(
      '{"step":6,"epoch":1,"loss":0.16666666666666666,"gradientNorm":1,"learningRate":1,"lossScale":4}',
    );
  });

  test('one that falls to nothing ends the training', async () => {
    const scaleOf = (step: number) => ({ gradientNorm: Number.NaN, lossScale: 2 ** -step });
    await expect(train(3, { scaleOf })).rejects.toThrow(/step 15: .*overflow float16[\s\S]*--precision fp32/);
  });
});
