/** Single calls as graphs of their own, to be timed: operands come in, in the layout that a form wants; nothing large goes out. */
import { GraphBuilder } from '../onnx/builder.js';
import type { OperatorName } from '../onnx/ops/index.js';
import { formatShape, type Graph, type Value } from '../onnx/types.js';
import {
  chunkRanges,
  fromSlicePairs,
  halvesOf,
  isSlicePairs,
  type SlicePairs,
  shapeOf,
  toSlicePairs,
} from './blocked/slice-pairs.js';
import type { Call, Operands } from './form.js';
import { candidatesFor, type FormedName, formOf } from './index.js';
import type { BlockedLayout, Layout } from './layout.js';

/** One form of one call. */
export interface Trial {
  /** What the form does; its only output is one number. */
  readonly graph: Graph;
  /** The layout of each operand; `undefined` for those that the form does not read. */
  readonly takes: readonly (Layout | undefined)[];
  /** The layout of each result. */
  readonly gives: readonly Layout[];
}

const typeOf = ({ type, shape }: Value) => `${type}${formatShape(shape)}`;

/** Names what decides how long a call takes: operator, types and shapes, attributes, and the forms that apply. */
export function patternKey(operator: FormedName, call: Call<OperatorName>): string {
  const attributes = Object.entries(call.attributes)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`);
  const inputs = call.inputs.map((value) => (value ? typeOf(value) : '-'));
  return [operator, ...inputs, ...attributes, candidatesFor(operator, call).join('|')].join(' ');
}

/** Names the changes of layout of a feature map. */
export const conversionKey = (value: Value): string => `layout ${typeOf(value)}`;

/** A feature map as slice pairs that come in half by half. */
function slicePairsInput(g: GraphBuilder, name: string, value: Value, blocked: BlockedLayout): SlicePairs {
  const shape = shapeOf(value);
  const [n, ...sizes] = shape;
  const chunks = chunkRanges(shape, blocked).map(([from, to], i) => {
    const half = (parity: string) =>
      g.input(`${name}.${i}.${parity}`, value.type, [(to - from) * n, sizes[0], sizes[2], sizes[3]]);
    return { even: half('even'), odd: half('odd') };
  });
  return { chunks, shape };
}

/** Makes the first number of everything that was computed the graph's output, so that nothing of it is left out. */
function finish(g: GraphBuilder, results: readonly (Value | SlicePairs)[]): Graph {
  const firsts = results
    .flatMap((result) => (isSlicePairs(result) ? halvesOf(result) : [result]))
    .map((value) => {
      const axes = value.shape.map((_, axis) => axis);
      const zeros = axes.map(() => 0);
      const ones = axes.map(() => 1);
      return g.reshape(axes.length > 0 ? g.slice(value, zeros, ones, axes) : value, [1]);
    });
  g.output('firsts', g.add('Concat', firsts, { axis: 0 }));
  return g.build();
}

/** A call in one of its forms. */
export function trialOf(operator: FormedName, call: Call<OperatorName>, name: string): Trial {
  const form = formOf(operator, name)!;
  const g = new GraphBuilder('trial');
  const known = new Map<string, Value | SlicePairs>();
  const takes: (Layout | undefined)[] = call.inputs.map(() => undefined);
  const operand = <T extends Value | SlicePairs>(i: number, layout: Layout, make: (name: string) => T): T => {
    const key = `${layout}${i}`;
    const value = (known.get(key) as T | undefined) ?? make(key);
    known.set(key, value);
    takes[i] = layout;
    return value;
  };
  const operands: Operands = {
    plain: (i) => operand(i, 'plain', (key) => g.input(key, call.inputs[i]!.type, call.inputs[i]!.shape)),
    slicePairs: (i) =>
      operand(i, 'slicePairs', (key) => slicePairsInput(g, key, call.inputs[i]!, call.blocked!)),
  };
  const results =
    form.layout === 'slicePairs'
      ? form.build(g, call as never, operands)
      : form.build(g, {
          ...call,
          inputs: call.inputs.map((value, i) => (value ? operands.plain(i) : null)),
        } as never);
  const gives = results.map((result): Layout => (isSlicePairs(result) ? 'slicePairs' : 'plain'));
  return { graph: finish(g, results), takes, gives };
}

/** A change of layout alone. */
export function conversionGraph(to: Layout, value: Value, blocked: BlockedLayout): Graph {
  const g = new GraphBuilder('conversion');
  return finish(g, [
    to === 'slicePairs'
      ? toSlicePairs(g, g.input('x', value.type, value.shape), blocked)
      : fromSlicePairs(g, slicePairsInput(g, 'x', value, blocked), blocked),
  ]);
}
