/** Windows of different requests in one batch, where that is faster. */
import type { ImageModel } from '../../inference/image-model.js';
import type { EngineTensor, Tensors } from '../../runtime/engine.js';

/** Windows that are tried at once. */
const SEVERAL = 4;
/** Time for a window that a batch must save, as a share: it also makes windows wait for each other. */
const LEAST_GAIN = 0.1;
const ROUNDS = 3;

type Values = Float32Array | Int16Array;

async function fastestMs(run: () => Promise<unknown>, now: () => number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const began = now();
    await run();
    least = Math.min(least, now() - began);
  }
  return least;
}

/**
 * Measures how many windows a model should compute at once: several where each then takes less time, or one.
 * @param shape of one window, [1, …]
 * @param now a clock, in ms
 */
export async function measureBatch(
  model: Pick<ImageModel, 'run'>,
  shape: readonly number[],
  now: () => number = () => performance.now(),
): Promise<number> {
  const length = shape.reduce((a, b) => a * b, 1);
  const timeOf = async (windows: number) => {
    const values = new Float32Array(windows * length);
    const run = () => model.run(values, shape.with(0, windows));
    await run(); // loads the model for this size
    return (await fastestMs(run, now)) / windows;
  };
  return (await timeOf(SEVERAL)) < (1 - LEAST_GAIN) * (await timeOf(1)) ? SEVERAL : 1;
}

interface Asked {
  readonly values: Values;
  /** Of the window: those of searches have the size of the index, others that of the model. */
  readonly shape: readonly number[];
  resolve(outputs: Tensors): void;
  reject(error: unknown): void;
}

/** Windows one behind the other: of integers where all of them are, as those of one scan may be while those of another are not. */
function joined(windows: readonly Values[]): Values {
  const [first] = windows as readonly [Values];
  if (windows.length === 1) return first;
  const areIntegers = windows.every((values) => values instanceof Int16Array);
  const length = windows.length * first.length;
  const all = areIntegers ? new Int16Array(length) : new Float32Array(length);
  for (const [i, values] of windows.entries()) all.set(values, i * first.length);
  return all;
}

/** What belongs to one window of a batch. */
function partOf(outputs: Tensors, i: number, windows: number): Tensors {
  if (windows === 1) return outputs;
  const parts = Object.entries(outputs).map(([name, { type, shape, data }]): [string, EngineTensor] => {
    const length = data.length / windows;
    const part = (data as Float32Array).slice(i * length, (i + 1) * length);
    return [name, { type, shape: shape.with(0, shape[0]! / windows), data: part }];
  });
  return Object.fromEntries(parts);
}

/**
 * A model whose callers share batches: as many windows as wait are computed at once if they fill a batch, or else one by one.
 * Results are those of single windows.
 * @param most windows of a batch
 * @param onBatch is told of each batch how many windows it had
 */
export function sharingBatches(
  model: ImageModel,
  most: number,
  onBatch: (windows: number) => void,
): ImageModel {
  const waiting: Asked[] = [];
  let isRunning = false;

  /** The first that waits, with others of its shape if they fill a batch. */
  const takeSome = (): readonly Asked[] => {
    const isAlike = ({ shape }: Asked) => shape.join() === waiting[0]!.shape.join();
    const alike = waiting.filter(isAlike);
    const some = alike.slice(0, alike.length >= most ? most : 1);
    for (const asked of some) waiting.splice(waiting.indexOf(asked), 1);
    return some;
  };

  const runSome = async (some: readonly Asked[]): Promise<void> => {
    try {
      const { shape } = some[0]!;
      const outputs = await model.run(joined(some.map(({ values }) => values)), shape.with(0, some.length));
      onBatch(some.length);
      for (const [i, { resolve }] of some.entries()) resolve(partOf(outputs, i, some.length));
    } catch (error) {
      for (const { reject } of some) reject(error);
    }
  };

  const runAll = async (): Promise<void> => {
    isRunning = true;
    while (waiting.length > 0) {
      // Others that were waiting for a result ask for their next window first.
      await new Promise((resolve) => setImmediate(resolve));
      await runSome(takeSome());
    }
    isRunning = false;
  };

  return {
    ...model,
    run: (values, shape) =>
      new Promise((resolve, reject) => {
        waiting.push({ values, shape, resolve, reject });
        if (!isRunning) void runAll();
      }),
  };
}
