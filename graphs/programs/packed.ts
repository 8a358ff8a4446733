/*
 * A step reads and writes hundreds of small tensors: parameters, the optimiser's state, running statistics. Packed, each kind is
 * one tensor, and its optimiser a handful of nodes: for most of them, starting a kernel takes longer than what it computes, and ONNX Runtime
 * prepares a graph in a time that grows faster than the number of nodes.
 */
import type { Parameter } from '../nn/module.js';
import { type OptimizerOptions, optimizerSlots } from '../nn/optimizers.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { sizeOf, type Value } from '../onnx/types.js';
import { slotName } from './built.js';

type Member = Pick<Parameter, 'name' | 'shape'>;

/** Tensors one after the other in the memory of one; one tensor as it is, under its own name. */
export interface Pack {
  readonly name: string;
  readonly members: readonly Member[];
  /** Of several tensors [rows, block]: no row is shared by two of them. */
  readonly shape: readonly number[];
}

/**
 * What becomes of tensors of at least {@link LARGE} values. A processor has each in its cache for as long as it is worked on, if it is
 * by itself. A GPU wants few kernels: there they have a pack of their own, beside that of the small ones, since ONNX Runtime's CUDA
 * kernels for `Concat` and `Split` make a table of all rows at each call, and large tensors, kernels of convolutions mostly,
 * have few rows by themselves.
 */
export type LargeTensors = 'single' | 'packed';
const LARGE = 2 ** 14;

const commonDivisor = (a: number, b: number): number => (b === 0 ? a : commonDivisor(b, a % b));

function packOf(name: string, members: readonly Member[]): Pack[] {
  if (members.length < 2) return members.map(single);
  const sizes = members.map(({ shape }) => sizeOf(shape));
  const block = sizes.reduce(commonDivisor);
  const rows = sizes.reduce((sum, size) => sum + size / block, 0);
  return [{ name, members, shape: [rows, block] }];
}

/** One tensor by itself. */
export const single = ({ name, shape }: Member): Pack => ({ name, shape, members: [{ name, shape }] });

/** Packs of tensors of one kind. */
export function packsOf(name: string, members: readonly Member[], large: LargeTensors): Pack[] {
  const isLarge = ({ shape }: Member) => sizeOf(shape) >= LARGE;
  const larger = members.filter(isLarge);
  return [
    ...(large === 'single' ? larger.map(single) : packOf(`${name}.large`, larger)),
    ...packOf(
      `${name}.small`,
      members.filter((member) => !isLarge(member)),
    ),
  ];
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
export function statePacks(
  parameters: readonly Parameter[],
  options: OptimizerOptions,
  large: LargeTensors,
): StatePacks {
  const of = (name: string, trainable: boolean) =>
    packsOf(
      name,
      parameters.filter((p) => p.trainable === trainable),
      large,
    );
  const trained = of('parameters', true);
  const ofSlot = (slot: string) =>
    trained.map(({ name, members, shape }) => ({
      name: slotName(slot, name),
      members: members.map((member) => ({ ...member, name: slotName(slot, member.name) })),
      shape,
    }));
  return {
    parameters: trained,
    buffers: of('buffers', false),
    slots: Object.fromEntries(optimizerSlots(options).map((slot) => [slot, ofSlot(slot)])),
  };
}

/** How many rows of a pack of several each member takes. */
function rowCounts({ members, shape }: Pack): number[] {
  const [, block] = shape as readonly [number, number];
  return members.map((member) => sizeOf(member.shape) / block);
}

/** A number for each row of a pack, by the member that it belongs to; one for all where they are equal, and for a tensor by itself. */
export function rowsOf(pack: Pack, numberOf: (member: Member) => number): number | readonly number[] {
  const numbers = pack.members.map(numberOf);
  if (new Set(numbers).size === 1) return numbers[0]!;
  return rowCounts(pack).flatMap((count, i) => new Array<number>(count).fill(numbers[i]!));
}

/** The members of a packed tensor, by name. */
export function unpacked(g: GraphBuilder, packed: Value, pack: Pack): Map<string, Value> {
  const { members } = pack;
  if (members.length === 1) return new Map([[members[0]!.name, packed]]);
  const rows = rowCounts(pack);
  const parts = g.addMany('Split', [packed, g.integers(rows)], { axis: 0 }, rows.length);
  return new Map(members.map((member, i) => [member.name, g.reshape(parts[i]!, member.shape)]));
}

/** Members, in their order, as one tensor. */
export function packed(g: GraphBuilder, members: readonly Value[], { shape }: Pack): Value {
  if (members.length === 1) return members[0]!;
  const [, block] = shape as readonly [number, number];
  const parts = members.map((value) => g.reshape(value, [sizeOf(value.shape as number[]) / block, block]));
  return g.add('Concat', parts, { axis: 0 });
}
