/**
 * A self-test that a model carries: a small input, and what the model made of it where it was exported. As JSON in the
 * model's metadata, for any runtime and language; tensors are base64 of little-endian values.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { withMetadata } from '../../graphs/imported/with-head.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { type Model, sizeOf } from '../../graphs/onnx/types.js';
import { UserError } from '../errors.js';
import { loadWithSingleInterface } from '../execution/single-interface.js';
import { randomStream } from '../random.js';
import type { Engine, EngineTensor, Tensors } from '../runtime/engine.js';
import { type Precision, relativeRms } from './precision.js';

/** Keys of the metadata. */
export const SELF_TEST = 'self_test';
const DIGEST = 'content_sha256';

const digestOf = (bytes: Uint8Array): string =>
  createHash('sha256')
    .update(withMetadata(bytes, { [DIGEST]: null }))
    .digest('hex');

/** A model with a digest of all that it is: a self-test does not see weights that its input leaves idle. */
export const sealed = (bytes: Uint8Array): Uint8Array => withMetadata(bytes, { [DIGEST]: digestOf(bytes) });

/** What the results of other machines may differ by, as a relative RMS; integers saturate on older processors. */
const TOLERANCE: Readonly<Record<Precision, number>> = {
  float32: 1e-3,
  'float16-weights': 1e-3,
  float16: 0.01,
  int8: 0.05,
};

/** So many values has an input at most whose sizes are twice the least possible ones. */
const INPUT_VALUES = 2 ** 15;

const tensorSchema = z.strictObject({
  type: z.enum(['float32', 'int16']),
  shape: z.array(z.int().positive()).min(1).max(5),
  data: z.base64(),
});
const precisionOf = ({ precision = 'float32' }: Model['metadata']) => precision as Precision;

const selfTestSchema = z.strictObject({
  input: tensorSchema.extend({ name: z.string().min(1) }),
  outputs: z.record(z.string(), tensorSchema).refine((outputs) => Object.keys(outputs).length > 0),
  tolerance: z.number().positive(),
});
type StoredTensor = z.infer<typeof tensorSchema>;

const encodeTensor = ({ type, shape, data }: EngineTensor): StoredTensor => ({
  type: type as StoredTensor['type'],
  shape: [...shape],
  data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'),
});

/** @throws UserError when the bytes do not fill the shape */
function decodeTensor({ type, shape, data }: StoredTensor, where: string): EngineTensor {
  const bytes = new Uint8Array(Buffer.from(data, 'base64'));
  const Values = type === 'int16' ? Int16Array : Float32Array;
  if (bytes.length !== sizeOf(shape) * Values.BYTES_PER_ELEMENT)
    throw new UserError('input', {
      what: 'the self-test of the model is damaged',
      where,
      got: `${bytes.length} bytes for [${shape.join(', ')}] of ${type}`,
    });
  return { type, shape, data: new Values(bytes.buffer) };
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
  const { shape, type } = graph.inputs[0]!;
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

function noise({ type, shape, range: { low, high } }: TestInput): EngineTensor {
  const random = randomStream(0, 'self-test');
  const values = Array.from({ length: sizeOf(shape) }, () => random.between(low, high));
  return { type, shape, data: type === 'int16' ? Int16Array.from(values) : Float32Array.from(values) };
}

/**
 * A self-test for the metadata of a model: its first input, and its outputs in floats.
 * @param bytes the model, encoded
 * @throws UserError when it cannot be run
 */
export async function selfTestOf(
  model: Model,
  bytes: Uint8Array,
  engine: Engine,
  given: TestInput = smallInput(model),
): Promise<string> {
  const session = await loadWithSingleInterface(model, bytes, engine, { threads: 1 });
  try {
    const input = noise(given);
    const { name } = model.graph.inputs[0]!;
    const outputs = Object.entries(await session.run({ [name]: input })).filter(
      ([, { type }]) => type === 'float32',
    );
    const test: z.infer<typeof selfTestSchema> = {
      input: { name, ...encodeTensor(input) },
      outputs: Object.fromEntries(outputs.map(([output, tensor]) => [output, encodeTensor(tensor)])),
      tolerance: TOLERANCE[precisionOf(model.metadata)],
    };
    return JSON.stringify(test);
  } finally {
    await session.release();
  }
}

/** A model with a self-test in its metadata. @throws UserError when it cannot be run */
export async function withSelfTest(model: Model, engine: Engine): Promise<Model> {
  const test = await selfTestOf(model, encodeModel(model), engine);
  return { ...model, metadata: { ...model.metadata, [SELF_TEST]: test } };
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
  const { [SELF_TEST]: text, [DIGEST]: digest } = model.metadata;
  if (text === undefined) return null;
  if (digest !== undefined && digest !== digestOf(bytes))
    throw new UserError('input', {
      what: 'the model is not as it was exported: its content has another digest',
      where,
      fix: `copy or export it again; a program that changes a model on purpose must take ${DIGEST} out of its metadata`,
    });
  let test: z.infer<typeof selfTestSchema>;
  try {
    test = selfTestSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new UserError('input', { what: 'the self-test of the model is damaged', where, cause });
  }
  if (!(test.tolerance <= TOLERANCE[precisionOf(model.metadata)]))
    throw new UserError('input', {
      what: 'the self-test of the model tolerates more than it should',
      where,
      got: String(test.tolerance),
      expected: `at most ${TOLERANCE[precisionOf(model.metadata)]}`,
    });
  const session = await loadWithSingleInterface(model, bytes, engine, { threads: 1 });
  try {
    const got: Tensors = await session.run({ [test.input.name]: decodeTensor(test.input, where) });
    const errors = Object.entries(test.outputs).map(([name, stored]): [string, number] => {
      const expected = decodeTensor(stored, where).data as Float32Array;
      const found = got[name]?.data as Float32Array | undefined;
      return [name, found ? relativeRms(expected, found) : Number.POSITIVE_INFINITY];
    });
    return { errors: Object.fromEntries(errors), tolerance: test.tolerance };
  } finally {
    await session.release();
  }
}
