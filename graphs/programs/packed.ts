/*
 * A step reads and writes hundreds of small tensors: parameters, the optimiser's state, running statistics. Packed, each kind is
 * one or two tensors, and the optimiser a handful of nodes. A GPU spends more time on starting kernels than on what most of
 * them compute.
 */
import type { Parameter } from '../nn/module.js';
import { type OptimizerOptions, optimizerSlots } from '../nn/optimizers.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { sizeOf, type Value } from '../onnx/types.js';
import { slotName } from './built.js';

type Member = Pick<Parameter, 'name' | 'shape'>;

/** Tensors one after the other in the memory of one, whose rows none of them shares. */
export interface Pack {
  readonly name: string;
  readonly members: readonly Member[];
  readonly shape: readonly [rows: number, block: number];
}

/** Tensors of at least as many values have a pack of their own. */
const LARGE = 2 ** 14;

const commonDivisor = (a: number, b: number): number => (b === 0 ? a : commonDivisor(b, a % b));

/**
 * Large tensors in one pack, small ones in another: ONNX Runtime's CUDA kernels for `Concat` and `Split` make a table of all
 * rows at each call, and large tensors, kernels of convolutions mostly, have few rows by themselves.
 */
export function packsOf(name: string, members: readonly Member[]): Pack[] {
  const isLarge = ({ shape }: Member) => sizeOf(shape) >= LARGE;
  const groups = {
    [`${name}.large`]: members.filter(isLarge),
    [`${name}.small`]: members.filter((member) => !isLarge(member)),
  };
  return Object.entries(groups)
    .filter(([, list]) => list.length > 0)
    .map(([pack, list]) => {
      const sizes = list.map(({ shape }) => sizeOf(shape));
      const block = sizes.reduce(commonDivisor);
      const rows = sizes.reduce((sum, size) => sum + size / block, 0);
      return { name: pack, members: list, shape: [rows, block] };
    });
}

export interface StatePacks {
  /** What is trained. */
  readonly parameters: readonly Pack[];
  /** Running statistics, and what is frozen. */
  readonly buffers: readonly Pack[];
  /** State of the optimiser, by slot, laid out as the parameters. */
  readonly slots: Readonly<Record<string, readonly Pack[]>>;
}

/** The packs of a network's state in training. */
export function statePacks(parameters: readonly Parameter[], options: OptimizerOptions): StatePacks {
  const trained = packsOf(
    'parameters',
    parameters.filter((p) => p.trainable),
  );
  const ofSlot = (slot: string) =>
    trained.map(({ name, members, shape }) => ({
      name: slotName(slot, name),
      members: members.map((member) => ({ ...member, name: slotName(slot, member.name) })),
      shape,
    }));
  return {
    parameters: trained,
    buffers: packsOf(
      'buffers',
      parameters.filter((p) => !p.trainable),
    ),
    slots: Object.fromEntries(optimizerSlots(options).map((slot) => [slot, ofSlot(slot)])),
  };
}

/** The members of a packed tensor, by name. */
export function unpacked(
  g: GraphBuilder,
  packed: Value,
  { members, shape: [, block] }: Pack,
): Map<string, Value> {
  const rows = members.map(({ shape }) => sizeOf(shape) / block);
  const parts =
    members.length === 1
      ? [packed]
      : g.addMany('Split', [packed, g.integers(rows)], { axis: 0 }, rows.length);
  return new Map(members.map(({ name, shape }, i) => [name, g.reshape(parts[i]!, shape)]));
}

/** Members, in their order, as one tensor. */
export function packed(g: GraphBuilder, members: readonly Value[], { shape: [, block] }: Pack): Value {
  const parts = members.map((value) => g.reshape(value, [sizeOf(value.shape as number[]) / block, block]));
  return parts.length === 1 ? parts[0]! : g.add('Concat', parts, { axis: 0 });
}
