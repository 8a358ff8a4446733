/** Single calls as graphs of their own, to be timed: operands come in, in the layout that a form wants; nothing large goes out. */
import { GraphBuilder } from '../onnx/builder.js';
import type { OperatorName } from '../onnx/ops/index.js';
import { formatShape, type Graph, type Value } from '../onnx/types.js';
import {
  chunkRanges,
  fromPlanes,
  halvesOf,
  isPlanes,
  type Planes,
  shapeOf,
  toPlanes,
} from './blocked/slice-pairs.js';
import type { Call, Form, Native, Operands } from './form.js';
import { candidatesFor, type FormedName, forms } from './index.js';

export type Layout = 'plain' | 'planes';

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

/** A feature map as planes that come in half by half. */
function planesInput(g: GraphBuilder, name: string, value: Value, native: Native): Planes {
  const shape = shapeOf(value);
  const [n, ...sizes] = shape;
  const chunks = chunkRanges(shape, native).map(([from, to], i) => {
    const half = (parity: string) =>
      g.input(`${name}.${i}.${parity}`, value.type, [(to - from) * n, sizes[0], sizes[2], sizes[3]]);
    return { even: half('even'), odd: half('odd') };
  });
  return { chunks, shape };
}

/** Makes the first number of everything that was computed the graph's output, so that nothing of it is left out. */
function finish(g: GraphBuilder, results: readonly (Value | Planes)[]): Graph {
  const firsts = results
    .flatMap((result) => (isPlanes(result) ? halvesOf(result) : [result]))
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
  const form = (forms[operator] as Readonly<Record<string, Form<never>>>)[name]!;
  const g = new GraphBuilder('trial');
  const known = new Map<string, Value | Planes>();
  const takes: (Layout | undefined)[] = call.inputs.map(() => undefined);
  const operand = <T extends Value | Planes>(i: number, layout: Layout, make: (name: string) => T): T => {
    const key = `${layout}${i}`;
    const value = (known.get(key) as T | undefined) ?? make(key);
    known.set(key, value);
    takes[i] = layout;
    return value;
  };
  const operands: Operands = {
    plain: (i) => operand(i, 'plain', (key) => g.input(key, call.inputs[i]!.type, call.inputs[i]!.shape)),
    planes: (i) => operand(i, 'planes', (key) => planesInput(g, key, call.inputs[i]!, call.native!)),
  };
  const results =
    form.layout === 'planes'
      ? form.build(g, call as never, operands)
      : form.build(g, {
          ...call,
          inputs: call.inputs.map((value, i) => (value ? operands.plain(i) : null)),
        } as never);
  const gives = results.map((result): Layout => (isPlanes(result) ? 'planes' : 'plain'));
  return { graph: finish(g, results), takes, gives };
}

/** A change of layout alone. */
export function conversionGraph(to: Layout, value: Value, native: Native): Graph {
  const g = new GraphBuilder('conversion');
  return finish(g, [
    to === 'planes'
      ? toPlanes(g, g.input('x', value.type, value.shape), native)
      : fromPlanes(g, planesInput(g, 'x', value, native)),
  ]);
}
