import type { Parameter } from '../../graphs/nn/module.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import { type BuiltGraph, gradientName, nextName } from '../../graphs/programs/built.js';
import { microBatches, type StepConfig } from '../config/training.js';
import type { Ranks } from '../distributed/ranks.js';
import type { State } from '../runs/state.js';
import type { EngineTensor, Session, Tensors } from '../runtime/engine.js';
import { floatTensor } from './fresh-state.js';

/** What micro-batches add up to: one buffer, which ranks add up in one go, and what lies in it. A checkpoint never sees it. */
class Sums {
  readonly buffer: Float32Array;
  /** By parameter. */
  readonly gradients: ReadonlyMap<string, EngineTensor>;
  /** What each running statistic gains, by name. */
  readonly gains: ReadonlyMap<string, Float32Array>;
  readonly loss: Float32Array;

  constructor(trainable: readonly Parameter[], statistics: readonly Parameter[]) {
    const sizes = [...trainable, ...statistics].map(({ shape }) => sizeOf(shape));
    this.buffer = new Float32Array(sizes.reduce((sum, size) => sum + size, 1));
    let at = 0;
    const next = (size: number) => {
      at += size;
      return this.buffer.subarray(at - size, at);
    };
    this.gradients = new Map(
      trainable.map(({ name, shape }) => [name, floatTensor(shape, next(sizeOf(shape)))]),
    );
    this.gains = new Map(statistics.map(({ name, shape }) => [name, next(sizeOf(shape))]));
    this.loss = next(1);
  }

  named(as: (parameter: string) => string): Tensors {
    return Object.fromEntries([...this.gradients].map(([name, tensor]) => [as(name), tensor]));
  }
}

/** What a step applies: sums of gradients over all its micro-batches, by `gradient:<parameter>`, and their mean loss. */
export interface Accumulated {
  readonly gradients: Tensors;
  readonly loss: number;
}

/**
 * Runs micro-batches, and adds up what they find over all ranks. Gradients, loss and running statistics become what one rank
 * would make of all micro-batches, those of rank 0 first, but for the order of sums.
 * @param session the graph `accumulate`
 * @param state whose running statistics each call replaces
 */
export function createAccumulator(
  session: Session,
  { parameters, momenta = new Map() }: Pick<BuiltGraph, 'parameters' | 'momenta'>,
  config: StepConfig,
  state: State,
  { ranks, syncNorm }: { readonly ranks: Ranks; readonly syncNorm: boolean },
): (batches: readonly Tensors[]) => Promise<Accumulated> {
  const { count } = microBatches(config);
  const trainable = parameters.filter((p) => p.trainable);
  const statistics = parameters.filter((p) => !p.trainable && session.outputs.includes(nextName(p.name)));
  // Synchronised statistics are those of all ranks already.
  const apart = syncNorm ? [] : statistics;
  let [sums, spare] = [new Sums(trainable, apart), new Sums(trainable, apart)];
  const loss = floatTensor([]);
  const valuesOf = (name: string) => state.get(name)!.data as Float32Array;

  /**
   * Each update of a running statistic keeps a share of it, its momentum, so it is linear in what it was before and in what each
   * micro-batch adds. The updates of the ranks that follow shrink what this one adds.
   */
  const addUp = async (before: ReadonlyMap<string, Float32Array>, own: number, total: number) => {
    for (const [name, gain] of sums.gains) {
      const momentum = momenta.get(name)!;
      const later = momentum ** (own * (ranks.size - 1 - ranks.rank));
      const [old, now] = [before.get(name)!, valuesOf(name)];
      for (let i = 0; i < gain.length; i++) gain[i] = later * (now[i]! - momentum ** own * old[i]!);
    }
    sums.loss[0] = total;
    await ranks.sum(sums.buffer);
    for (const { name, shape } of apart) {
      const [old, gain] = [before.get(name)!, sums.gains.get(name)!];
      const kept = momenta.get(name)! ** count;
      state.set(
        name,
        floatTensor(
          shape,
          gain.map((value, i) => kept * old[i]! + value),
        ),
      );
    }
    return sums.loss[0]!;
  };

  return async (batches) => {
    const before = new Map(statistics.map(({ name }) => [name, valuesOf(name)]));
    sums.buffer.fill(0);
    let total = 0;
    for (const batch of batches) {
      const feeds: Tensors = { ...batch, ...Object.fromEntries(state), ...sums.named(gradientName) };
      const wanted = session.inputs.filter((name) => name in feeds).map((name) => [name, feeds[name]!]);
      const fresh = statistics.map(({ name, shape }) => [nextName(name), floatTensor(shape)] as const);
      const into = {
        ...spare.named((name) => nextName(gradientName(name))),
        ...Object.fromEntries(fresh),
        loss,
      };
      await session.run(Object.fromEntries(wanted), into);
      [sums, spare] = [spare, sums];
      for (const [i, { name }] of statistics.entries()) state.set(name, fresh[i]![1]);
      total += loss.data[0] as number;
    }
    if (ranks.size > 1) total = await addUp(before, batches.length, total);
    return { gradients: sums.named(gradientName), loss: total / count };
  };
}
