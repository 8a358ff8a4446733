/**
 * A self-test that a model carries: a small input, and what the model made of it where it was exported. As JSON in the
 * model's metadata, for any runtime and language; tensors are base64 of little-endian values.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { CONTENT_DIGEST, SELF_TEST, withMetadata } from '../../graphs/imported/metadata.js';
import { givenInputs } from '../../graphs/onnx/given-inputs.js';
import { decodeModel, encodeModel } from '../../graphs/onnx/schema.js';
import { type Model, sizeOf } from '../../graphs/onnx/types.js';
import { UserError } from '../errors.js';
import { loadWithSingleInterface } from '../execution/single-interface.js';
import { randomStream } from '../random.js';
import type { Engine, EngineTensor, Tensors } from '../runtime/engine.js';
import { type Precision, relativeRms } from './precision.js';

const digestOf = (bytes: Uint8Array): string =>
  createHash('sha256')
    .update(withMetadata(bytes, { [CONTENT_DIGEST]: null }))
    .digest('hex');

/** A model with a digest of all that it is: a self-test does not see weights that its input leaves idle. */
export const sealed = (bytes: Uint8Array): Uint8Array =>
  withMetadata(bytes, { [CONTENT_DIGEST]: digestOf(bytes) });

/** What the results of other machines may differ by, as a relative RMS; integers saturate on older processors. */
const TOLERANCE: Readonly<Record<Precision, number>> = {
  float32: 1e-3,
  'float16-weights': 1e-3,
  float16: 0.01,
  int8: 0.05,
};

/** So many values has an input at most whose sizes are twice the least possible ones. */
const INPUT_VALUES = 2 ** 15;
/** So many values of a tensor are stored at most. */
const STORED_VALUES = 2 ** 16;

const tensorSchema = z.strictObject({
  type: z.enum(['float32', 'int16']),
  shape: z.array(z.int().positive()).min(1).max(5),
  data: z.base64(),
});
const outputSchema = tensorSchema.extend({ every: z.int().positive().default(1) });
const precisionOf = ({ precision = 'float32' }: Model['metadata']) => precision as Precision;

const selfTestSchema = z.strictObject({
  input: tensorSchema.extend({ name: z.string().min(1) }),
  outputs: z.record(z.string(), outputSchema).refine((outputs) => Object.keys(outputs).length > 0),
  tolerance: z.number().positive(),
});
type SelfTest = z.infer<typeof selfTestSchema>;
type StoredTensor = z.infer<typeof tensorSchema>;

type StoredOutput = z.infer<typeof outputSchema>;

const base64 = ({ buffer, byteOffset, byteLength }: EngineTensor['data']): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64');

/** The first values of a tensor; an input repeats them. */
const encodeInput = ({ type, shape, data }: EngineTensor): StoredTensor => ({
  type: type as StoredTensor['type'],
  shape: [...shape],
  data: base64(data.subarray(0, STORED_VALUES)),
});

/** Every k-th value. */
const sampled = (data: Float32Array, every: number): Float32Array =>
  every === 1
    ? data
    : Float32Array.from({ length: Math.ceil(data.length / every) }, (_, i) => data[i * every]!);

function encodeOutput({ shape, data }: EngineTensor): StoredOutput {
  const every = Math.ceil(data.length / STORED_VALUES);
  return { type: 'float32', shape: [...shape], every, data: base64(sampled(data as Float32Array, every)) };
}

/** The stored values. @param counts how many there may be @throws UserError when there are others */
function decodeValues({ type, shape, data }: StoredTensor, counts: readonly number[], where: string) {
  const bytes = new Uint8Array(Buffer.from(data, 'base64'));
  const Values = type === 'int16' ? Int16Array : Float32Array;
  if (!counts.includes(bytes.length / Values.BYTES_PER_ELEMENT))
    throw new UserError('input', {
      what: 'the self-test of the model is damaged',
      where,
      got: `${bytes.length} bytes for [${shape.join(', ')}] of ${type}`,
    });
  return new Values(bytes.buffer);
}

/** @throws UserError when the bytes are neither all values, as earlier versions stored them, nor the first ones */
function decodeInput(stored: StoredTensor, where: string): EngineTensor {
  const { type, shape } = stored;
  const size = sizeOf(shape);
  const values = decodeValues(stored, [size, Math.min(size, STORED_VALUES)], where);
  return { type, shape, data: repeated(values, size) };
}

/** @throws UserError when the bytes are not the values that should be stored */
const decodeOutput = (stored: StoredOutput, where: string): Float32Array =>
  decodeValues(stored, [Math.ceil(sizeOf(stored.shape) / stored.every)], where) as Float32Array;

/** @throws UserError when it is damaged */
function parseTest(text: string, where: string): SelfTest {
  try {
    return selfTestSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new UserError('input', { what: 'the self-test of the model is damaged', where, cause });
  }
}

/** The input of a self-test. */
export interface TestInput {
  readonly type: 'float32' | 'int16';
  readonly shape: readonly number[];
  /** Of the values. */
  readonly range: { readonly low: number; readonly high: number };
}

/** A small image over the window of a model of our own: the named sizes are multiples of those in the metadata, x×y×z. */
function smallInput({ graph, metadata }: Model): TestInput {
  const { shape, type } = givenInputs(graph)[0]!;
  const multiples = (metadata.size_multiple ?? '1x1x1').split('x').map(Number).toReversed();
  const sized = (times: number) =>
    shape.map((size, i) => {
      if (typeof size === 'number') return size;
      const axis = i - (shape.length - 3);
      return axis < 0 ? 1 : times * multiples[axis]!;
    });
  return {
    type: type === 'int16' ? type : 'float32',
    shape: sizeOf(sized(2)) <= INPUT_VALUES ? sized(2) : sized(1),
    range: JSON.parse(metadata.window ?? '{"low":0,"high":1}') as TestInput['range'],
  };
}

/** Values over and over, up to a length. */
function repeated<T extends Int16Array | Float32Array>(values: T, length: number): T {
  if (values.length === length) return values;
  const all = new (values.constructor as new (length: number) => T)(length);
  for (let at = 0; at < length; at += values.length) all.set(values.subarray(0, length - at), at);
  return all;
}

function noise({ type, shape, range: { low, high } }: TestInput): EngineTensor {
  const random = randomStream(0, 'self-test');
  const size = sizeOf(shape);
  const values = Array.from({ length: Math.min(size, STORED_VALUES) }, () => random.between(low, high));
  const data = type === 'int16' ? Int16Array.from(values) : Float32Array.from(values);
  return { type, shape, data: repeated(data, size) };
}

/** What an input gives, in floats, as a self-test. */
async function testOf(
  model: Model,
  bytes: Uint8Array,
  engine: Engine,
  input: EngineTensor,
): Promise<SelfTest> {
  const session = await loadWithSingleInterface(model, bytes, engine, { threads: 1 });
  try {
    const { name } = givenInputs(model.graph)[0]!;
    const outputs = Object.entries(await session.run({ [name]: input })).filter(
      ([, { type }]) => type === 'float32',
    );
    return {
      input: { name, ...encodeInput(input) },
      outputs: Object.fromEntries(outputs.map(([output, tensor]) => [output, encodeOutput(tensor)])),
      tolerance: TOLERANCE[precisionOf(model.metadata)],
    };
  } finally {
    await session.release();
  }
}

/**
 * A self-test for the metadata of a model: its first input, and its outputs in floats.
 * @param bytes the model, encoded
 * @throws UserError when it cannot be run
 */
export const selfTestOf = async (
  model: Model,
  bytes: Uint8Array,
  engine: Engine,
  given: TestInput = smallInput(model),
): Promise<string> => JSON.stringify(await testOf(model, bytes, engine, noise(given)));

/** A model with a self-test in its metadata. @throws UserError when it cannot be run */
export async function withSelfTest(model: Model, engine: Engine): Promise<Model> {
  const test = await selfTestOf(model, encodeModel(model), engine);
  return { ...model, metadata: { ...model.metadata, [SELF_TEST]: test } };
}

/**
 * A model with other weights, with the self-test of the one that it was: the same input, and what it gives now.
 * @param former metadata of that one
 * @throws UserError when its self-test is damaged, or the engine cannot run the model
 */
export async function withFormerSelfTest(
  bytes: Uint8Array,
  former: Model['metadata'],
  engine: Engine,
  where: string,
): Promise<Uint8Array> {
  const { [SELF_TEST]: text } = former;
  if (text === undefined) return bytes;
  const input = decodeInput(parseTest(text, where).input, where);
  const test = await testOf(decodeModel(bytes), bytes, engine, input);
  return sealed(withMetadata(bytes, { [SELF_TEST]: JSON.stringify(test) }));
}

export interface SelfTestResult {
  /** Relative RMS difference of each output to that at export. */
  readonly errors: Readonly<Record<string, number>>;
  readonly tolerance: number;
}

/**
 * Runs the self-test of a model on an engine.
 * @returns null for a model without one
 * @throws UserError when it is damaged, tolerates more than that of any export, or the engine cannot run the model
 */
export async function runSelfTest(
  model: Model,
  bytes: Uint8Array,
  engine: Engine,
  where: string,
): Promise<SelfTestResult | null> {
  const { [SELF_TEST]: text, [CONTENT_DIGEST]: digest } = model.metadata;
  if (text === undefined) return null;
  if (digest !== undefined && digest !== digestOf(bytes))
    throw new UserError('input', {
      what: 'the model is not as it was exported: its content has another digest',
      where,
      fix: `copy or export it again; a program that changes a model on purpose must take ${CONTENT_DIGEST} out of its metadata`,
    });
  const test = parseTest(text, where);
  if (!(test.tolerance <= TOLERANCE[precisionOf(model.metadata)]))
    throw new UserError('input', {
      what: 'the self-test of the model tolerates more than it should',
      where,
      got: String(test.tolerance),
      expected: `at most ${TOLERANCE[precisionOf(model.metadata)]}`,
    });
  const session = await loadWithSingleInterface(model, bytes, engine, { threads: 1 });
  try {
    const got: Tensors = await session.run({ [test.input.name]: decodeInput(test.input, where) });
    const errors = Object.entries(test.outputs).map(([name, stored]): [string, number] => {
      const found = got[name];
      if (found?.shape.join() !== stored.shape.join()) return [name, Number.POSITIVE_INFINITY];
      const expected = decodeOutput(stored, where);
      return [name, relativeRms(expected, sampled(found.data as Float32Array, stored.every))];
    });
    return { errors: Object.fromEntries(errors), tolerance: test.tolerance };
  } finally {
    await session.release();
  }
}
