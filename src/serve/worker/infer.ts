/** Inference requests of the KServe v2 protocol ("Open Inference Protocol"), with its extension for binary tensors. */
import { readFileSync, statSync } from 'node:fs';
import * as z from 'zod';
import { sizeOf } from '../../../graphs/onnx/types.js';
import { UserError } from '../../errors.js';
import type { Tensors } from '../../runtime/engine.js';
import { MEDIA_TYPES } from '../formats.js';
import type { Answer, TensorFacts } from '../jobs.js';
import { DATATYPES, HEADER_LENGTH, versionOf } from '../kserve.js';
import type { WorkingModel } from './models.js';

export interface InferRequest {
  /** Path of the file with the request. */
  readonly upload: string;
  /** Bytes of the JSON before binary tensors; all without it. */
  readonly headerBytes: number | undefined;
  /** Most memory that the request may take. */
  readonly maxBytes: number;
  readonly onWindows: () => void;
}

const parametersSchema = z.looseObject({
  binary_data_size: z.int().nonnegative().optional(),
  binary_data: z.boolean().optional(),
  binary_data_output: z.boolean().optional(),
});
const requestSchema = z.looseObject({
  id: z.string().max(1000).optional(),
  parameters: parametersSchema.optional(),
  inputs: z
    .array(
      z.looseObject({
        name: z.string(),
        shape: z.array(z.int().nonnegative()).max(8),
        datatype: z.string(),
        parameters: parametersSchema.optional(),
        data: z.unknown().optional(),
      }),
    )
    .length(1),
  outputs: z.array(z.looseObject({ name: z.string(), parameters: parametersSchema.optional() })).optional(),
});
type Request = z.infer<typeof requestSchema>;

const bad = (what: string, facts: Partial<UserError['facts']> = {}) =>
  new UserError('usage', { what, ...facts });

/** JSON is parsed in one go, during which the worker does nothing else, and may take twenty times its size in memory. */
const MOST_HEADER_BYTES = 2 ** 24;

function parseRequest(header: Buffer): Request {
  if (header.length > MOST_HEADER_BYTES)
    throw bad('the JSON of this request is too long', {
      got: `${header.length} bytes`,
      expected: `at most ${MOST_HEADER_BYTES}; send tensors in binary`,
    });
  let value: unknown;
  try {
    value = JSON.parse(header.toString());
  } catch (cause) {
    throw bad('the request is not JSON', { cause });
  }
  const parsed = requestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw bad('this is not a valid inference request', { got: z.prettifyError(parsed.error).slice(0, 500) });
}

/** Numbers of nested lists, or of a flat one, in their order. */
function flatten(data: unknown, into: Float32Array): void {
  let at = 0;
  const visit = (value: unknown, depth: number): void => {
    if (Array.isArray(value) && depth < 8) for (const item of value) visit(item, depth + 1);
    else if (typeof value === 'number') into[at++] = value;
    else throw bad('the data of an input are not numbers', { got: (typeof value).slice(0, 100) });
  };
  visit(data, 0);
  if (at !== into.length)
    throw bad('the data of an input do not fill its shape', {
      got: `${at} values`,
      expected: `${into.length}`,
    });
}

/** The values of the input, checked against what the model takes. */
function inputValues({ facts }: WorkingModel, request: Request, binary: Buffer): Float32Array | Int16Array {
  const [input] = request.inputs as [Request['inputs'][number]];
  const [wanted] = facts.inputs as [TensorFacts];
  const fits =
    input.shape.length === wanted.shape.length &&
    input.shape[0]! >= 1 &&
    wanted.shape.every((size, i) => size === -1 || size === input.shape[i]);
  if (input.name !== wanted.name || input.datatype !== DATATYPES[wanted.type] || !fits)
    throw bad('the model does not take this input', {
      got: `${input.name} ${input.datatype} [${input.shape.join(', ')}]`,
      expected: `${wanted.name} ${DATATYPES[wanted.type]} [${wanted.shape.join(', ')}], −1 being any number`,
    });
  const length = sizeOf(input.shape);
  const Values = wanted.type === 'int16' ? Int16Array : Float32Array;
  const size = input.parameters?.binary_data_size;
  if (size !== undefined) {
    if (size !== binary.length || size !== length * Values.BYTES_PER_ELEMENT)
      throw bad('the binary data of an input do not fill its shape', {
        got: `${size} bytes said, ${binary.length} sent`,
        expected: `${length * Values.BYTES_PER_ELEMENT}`,
      });
    return new Values(new Uint8Array(binary).buffer);
  }
  // Each number is at least a digit and a comma.
  if (!Array.isArray(input.data) || length > MOST_HEADER_BYTES / 2) throw bad('an input has no data');
  const values = new Float32Array(length);
  flatten(input.data, values);
  if (wanted.type === 'float32') return values;
  const odd = values.find((value) => !Number.isInteger(value) || Math.abs(value + 0.5) > 32_767.5);
  if (odd === undefined) return Int16Array.from(values);
  throw bad('the data of an input are not of its type', { got: String(odd), expected: 'INT16' });
}

/** How often a request is in memory: as it came, as the values of its tensor, and as results. */
const COPIES = 3;

interface OutputTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Runs images one by one, or as many at once as is fastest: others, which use the model too, wait no longer than that. */
async function runImages(
  { facts, image, batch }: WorkingModel,
  values: Float32Array | Int16Array,
  names: readonly string[],
  onWindows: () => void,
): Promise<OutputTensor[]> {
  const shape = facts.inputs[0]!.shape.with(0, 1);
  const length = sizeOf(shape);
  const results: Tensors[] = [];
  for (let first = 0; first < values.length; first += batch * length) {
    const starts = Array.from({ length: batch }, (_, i) => first + i * length);
    const some = starts.filter((start) => start < values.length);
    results.push(
      ...(await Promise.all(some.map((start) => image.run(values.subarray(start, start + length), shape)))),
    );
    onWindows();
  }
  return names.map((name) => {
    const parts = results.map((result) => result[name]!.data as Float32Array);
    const data = new Float32Array(parts.length * parts[0]!.length);
    for (const [i, part] of parts.entries()) data.set(part, i * part.length);
    return { name, shape: results[0]![name]!.shape.with(0, parts.length), data };
  });
}

/**
 * Answers an inference request.
 * @throws UserError of kind `usage` for a request that the protocol or the model does not allow
 */
export async function infer(
  model: WorkingModel,
  { upload, headerBytes, maxBytes, onWindows }: InferRequest,
): Promise<Answer> {
  const { size } = statSync(upload);
  if (COPIES * size > maxBytes)
    throw bad('the request is too large for this service', {
      got: `${size} bytes`,
      expected: `at most ${Math.floor(maxBytes / COPIES)} bytes`,
      fix: 'send fewer images at once',
    });
  const body = readFileSync(upload);
  if (headerBytes !== undefined && headerBytes > body.length)
    throw bad('the request is shorter than its JSON');
  const request = parseRequest(body.subarray(0, headerBytes));
  const values = inputValues(
    model,
    request,
    headerBytes === undefined ? Buffer.alloc(0) : body.subarray(headerBytes),
  );
  const known = model.facts.outputs.map(({ name }) => name);
  const wanted = request.outputs ?? known.map((name) => ({ name, parameters: undefined }));
  const unknown = wanted.find(({ name }) => !known.includes(name));
  if (unknown)
    throw bad('the model has no such output', {
      got: unknown.name.slice(0, 100),
      expected: known.join(', '),
    });
  const isBinary = wanted.map(
    ({ parameters }) => parameters?.binary_data ?? request.parameters?.binary_data_output ?? false,
  );
  const outputs = await runImages(
    model,
    values,
    wanted.map(({ name }) => name),
    onWindows,
  );
  const binary = outputs.flatMap(({ data }, i) => (isBinary[i] ? [new Uint8Array(data.buffer)] : []));
  const header = Buffer.from(
    JSON.stringify({
      model_name: model.facts.name,
      model_version: versionOf(model.facts.sha256),
      ...(request.id !== undefined && { id: request.id }),
      outputs: outputs.map(({ name, shape, data }, i) => ({
        ...{ name, datatype: 'FP32', shape },
        ...(isBinary[i] ? { parameters: { binary_data_size: data.byteLength } } : { data: jsonValues(data) }),
      })),
    }),
  );
  return binary.length === 0
    ? { type: MEDIA_TYPES.json, bytes: header }
    : {
        ...{ type: 'application/octet-stream', bytes: Buffer.concat([header, ...binary]) },
        headers: { [HEADER_LENGTH]: String(header.length) },
      };
}

/** @throws UserError for what JSON has no numbers for */
function jsonValues(data: Float32Array): number[] {
  if (data.every(Number.isFinite)) return [...data];
  throw bad('the output contains NaN or infinity, which JSON cannot hold', {
    expected: 'ask for binary data',
  });
}
