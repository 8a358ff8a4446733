/** Inputs for any model, made from what it says of them. */
import { toFloat16 } from '../../../graphs/onnx/float16.js';
import { arrayOf, type ElementType, sizeOf, TYPE_CODES } from '../../../graphs/onnx/types.js';
import { UserError } from '../../errors.js';
import { type RandomStream, randomStream } from '../../random.js';
import type { EngineTensor, Tensors } from '../../runtime/engine.js';
import type { InputSignature } from '../../runtime/node.js';

/** Lengths of dimensions by their name, and whole shapes by the name of an input. */
export type Sizes = Readonly<Record<string, readonly number[]>>;

/** `N=1`, `input=1x3x48x320` as sizes. @throws UserError for what is none */
export function parseSizes(texts: readonly string[]): Sizes {
  return Object.fromEntries(
    texts.map((text): [string, number[]] => {
      const [, name, value = ''] = /^(.+)=([\dx]+)$/.exec(text) ?? [];
      const lengths = value.split('x').map(Number);
      if (name !== undefined && lengths.every((length) => Number.isSafeInteger(length) && length > 0))
        return [name, lengths];
      throw new UserError('usage', {
        what: 'these are no sizes',
        where: '--sizes',
        got: text,
        expected:
          'the length of a dimension, such as N=1, or the shape of an input, such as image=1x3x224x224',
      });
    }),
  );
}

/** Where values must be HU: our own exports, and images of 16 bits. */
const isImageOfHu = ({ name, type }: InputSignature) => name === 'hu' || type === 'int16';

/** HU for images in HU, else standard normal; of integers, which may be indices, 0 or 1, which most models take. */
function drawOne(input: InputSignature, random: RandomStream): number {
  if (isImageOfHu(input)) return Math.round(random.between(-1000, 1000));
  if (input.type === 'uint8') return random.integer(256);
  return input.type!.startsWith('float') ? random.normal() : random.integer(2);
}

const MOST_VALUES = 2 ** 28;

function tensorOf(
  input: InputSignature,
  type: ElementType,
  shape: number[],
  random: RandomStream,
): EngineTensor {
  const values = Float64Array.from({ length: sizeOf(shape) }, () => drawOne(input, random));
  if (type === 'float16') return { type, shape, data: toFloat16(Float32Array.from(values)) };
  if (type === 'int64') return { type, shape, data: BigInt64Array.from(Array.from(values, BigInt)) };
  if (type === 'uint64') return { type, shape, data: BigUint64Array.from(Array.from(values, BigInt)) };
  return { type, shape, data: (arrayOf(type) as Float32ArrayConstructor).from(values) };
}

/** @throws UserError for a name that the model does not have, or a shape of another rank or other fixed lengths */
function checkSizes(inputs: readonly InputSignature[], sizes: Sizes): void {
  const names = inputs.flatMap(({ shape }) => shape.filter((dim) => typeof dim === 'string' && dim !== ''));
  for (const [name, lengths] of Object.entries(sizes)) {
    const wrong = (what: string, expected: string) =>
      new UserError('usage', { what, where: '--sizes', got: `${name}=${lengths.join('x')}`, expected });
    const input = inputs.find((one) => one.name === name);
    if (!input && !names.includes(name))
      throw wrong(
        'the model has neither an input nor a dimension of this name',
        [...new Set([...names, ...inputs.map((one) => one.name)])].join(', '),
      );
    if (!input && lengths.length > 1) throw wrong('a dimension has one length', `${name}=${lengths[0]}`);
    const isFitting = (shape: InputSignature['shape']) =>
      shape.length === lengths.length &&
      shape.every((dim, i) => typeof dim === 'string' || dim < 1 || dim === lengths[i]);
    if (input && !isFitting(input.shape))
      throw wrong(
        'the input does not take this shape',
        `[${input.shape.map((dim) => dim || '?').join(',')}]`,
      );
  }
}

/**
 * Random inputs, the same for the same model. Dimensions without a length are as long as `sizes` says, all others 1.
 * @throws UserError for sizes that the model does not have, for inputs that are no tensors of numbers, or too large
 */
export function inputsFor(inputs: readonly InputSignature[], sizes: Sizes): Tensors {
  checkSizes(inputs, sizes);
  return Object.fromEntries(
    inputs.map((input): [string, EngineTensor] => {
      const { name, type } = input;
      const shape =
        sizes[name]?.slice() ??
        input.shape.map((dim) => (typeof dim === 'string' ? (sizes[dim]?.[0] ?? 1) : Math.max(1, dim)));
      const isKnown = type !== null && type in TYPE_CODES && type !== 'bfloat16';
      if (!isKnown || sizeOf(shape) > MOST_VALUES)
        throw new UserError('input', {
          what: 'no values can be made for this input',
          where: name,
          got: isKnown ? `${sizeOf(shape).toLocaleString('en')} values` : (type ?? 'no tensor'),
          expected: `integers or floats, at most ${MOST_VALUES.toLocaleString('en')}`,
        });
      return [name, tensorOf(input, type as ElementType, shape, randomStream(1, 'input', name))];
    }),
  );
}
