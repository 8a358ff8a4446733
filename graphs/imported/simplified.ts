/** Nodes as they are meant: without what does not count at import. */
import { type Node, type Shape, type Tensor, TYPE_CODES, type Value } from '../onnx/types.js';
import { numbersOf, vector } from './numbers.js';

export const isKnown = (shape: Shape): shape is readonly number[] =>
  shape.every((d) => typeof d === 'number');

/** What operators give that only say something of the sizes of an input; null for others. @param shape of the first input */
export function ofShape({ operator, attributes }: Node, shape: readonly number[]): Tensor | null {
  const bound = (name: string, fallback: number) => {
    const attribute = attributes[name];
    const value = attribute?.kind === 'int' ? attribute.value : fallback;
    return value < 0 ? value + shape.length : value;
  };
  if (operator === 'Shape')
    return vector(
      'int64',
      shape.slice(Math.max(0, bound('start', 0)), Math.max(0, bound('end', shape.length))),
    );
  if (operator === 'Size')
    return { type: 'int64', shape: [], data: BigInt64Array.of(BigInt(shape.reduce((a, b) => a * b, 1))) };
  return null;
}

/** In evaluation nothing is dropped. */
export const withoutDropout = (node: Node): Node =>
  node.operator === 'Dropout' && node.domain === '' ? { ...node, inputs: node.inputs.slice(0, 1) } : node;

/** A cast to the type of another value as one to that type: the other value does not count. @param typeOf undefined where it is not known */
export function withCastTo(node: Node, typeOf: (name: string) => Pick<Value, 'type'> | undefined): Node {
  const like = typeOf(node.inputs[1] ?? '');
  if (node.operator !== 'CastLike' || node.domain !== '' || !like) return node;
  const to = { kind: 'int', value: TYPE_CODES[like.type] } as const;
  return { ...node, operator: 'Cast', inputs: node.inputs.slice(0, 1), attributes: { to } };
}

/**
 * A convolution without the bias that PyTorch computes where a layer has none: zeros, and of a shape that is wrong
 * (one axis too many) where the export is not optimised.
 * @param computed what an input was found to be that the file does not store
 */
export function withoutZeroBias(node: Node, computed: (name: string) => Tensor | undefined): Node {
  const isConvolution = node.domain === '' && (node.operator === 'Conv' || node.operator === 'ConvTranspose');
  const bias = isConvolution ? computed(node.inputs[2] ?? '') : undefined;
  const isZero = bias !== undefined && numbersOf(bias).every((v) => v === 0);
  return isZero ? { ...node, inputs: node.inputs.slice(0, 2) } : node;
}
