/** The words of the KServe v2 protocol ("Open Inference Protocol"), which Triton speaks too. */
import type { Context } from 'hono';
import type { RequestFacts } from './context.js';
import type { TensorFacts } from './jobs.js';
import { refusalHeaders } from './problem.js';
import type { Refusal } from './refusal.js';

/** Its names of types. */
export const DATATYPES: Readonly<Record<TensorFacts['type'], string>> = { float32: 'FP32', int16: 'INT16' };

/** Bytes of the JSON before binary tensors, as a header of requests and answers. */
export const HEADER_LENGTH = 'Inference-Header-Content-Length';

/** A version of a model, by the content of its file. */
export const versionOf = (sha256: string): string => sha256.slice(0, 12);

/** An error as its clients expect it. */
export function kserveError(c: Context<RequestFacts>, refusal: Refusal): Response {
  const { got, expected } = refusal.facts;
  const error = [
    refusal.what,
    ...(got === undefined ? [] : [`got ${got}`]),
    ...(expected === undefined ? [] : [`expected ${expected}`]),
  ].join('; ');
  return c.body(JSON.stringify({ error }), refusal.status, {
    'Content-Type': 'application/json',
    ...refusalHeaders(refusal),
  });
}
