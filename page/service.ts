/** The service that the page comes from. */
import type { Choice } from '../src/errors.js';
import { toInt16 } from '../src/int16.js';
import type { MapPoint, Region } from './index-map.js';
import type { ServedModel } from './served-model.js';

/** What `/v1/search` finds. */
export interface Hit extends Region {
  /** −1 … 1. */
  readonly score: number;
  /** Where a picture of it is, on this service. */
  readonly picture: string | null;
  /** Where the scan itself is, on this service. */
  readonly scan: string | null;
}

/** What `/v1/index` says. */
export interface IndexFacts {
  readonly rows: number;
  readonly sources: number;
  /** A place for some of the rows, in a plane where neighbours are close together; null without it. */
  readonly map: readonly MapPoint[] | null;
}

/** A problem that the service describes. */
export class ServiceProblem extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** Scans that the upload holds, where it should hold one. */
    readonly choices: readonly Choice[] = [],
  ) {
    super(message);
  }
}

interface Problem {
  readonly title?: string;
  readonly error?: string;
  readonly got?: string;
  readonly expected?: string;
  readonly fix?: string;
  readonly choices?: readonly Choice[];
}

async function problemOf(response: Response): Promise<ServiceProblem> {
  const { title, error, got, expected, fix, choices } = (await response.json().catch(() => ({}))) as Problem;
  const facts = [got && `got ${got}`, expected && `expected ${expected}`, fix].filter(Boolean).join('; ');
  const what = title ?? error ?? `the service answered with status ${response.status}`;
  return new ServiceProblem(response.status, facts ? `${what}: ${facts}` : what, choices);
}

const TOKEN = 'token';

/** Kept until the tab is closed. */
export const keepToken = (token: string): void => sessionStorage.setItem(TOKEN, token);
export const forgetToken = (): void => sessionStorage.removeItem(TOKEN);

/** What a token may consist of: nothing else can be sent. */
const SENDABLE = /^[\x21-\x7e]+$/;

/** @throws ServiceProblem when the service refuses */
async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  const token = sessionStorage.getItem(TOKEN);
  if (token && !SENDABLE.test(token)) throw new ServiceProblem(401, 'this cannot be a token');
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(path, { ...options, headers });
  if (!response.ok) throw await problemOf(response);
  return response;
}

const post = (path: string, body: BodyInit, accept: string, signal: AbortSignal) =>
  ask(path, { method: 'POST', body, signal, headers: { Accept: accept } });

const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());
const quoted = encodeURIComponent;

export async function listModels(): Promise<readonly ServedModel[]> {
  const { models } = (await (await ask('/v1/models')).json()) as { models: ServedModel[] };
  return models;
}

/** The ONNX file of a model. */
export const modelFile = async ({ name }: ServedModel, signal: AbortSignal): Promise<Uint8Array> =>
  bytesOf(await ask(`/v1/models/${quoted(name)}/file`, { signal }));

/** The features of a scan. */
export async function embed({ name }: ServedModel, scan: File, signal: AbortSignal): Promise<Float32Array> {
  const response = await post(`/v1/embed?model=${quoted(name)}`, scan, 'application/json', signal);
  const { vectors } = (await response.json()) as { vectors: { features: number[] }[] };
  return Float32Array.from(vectors[0]!.features);
}

/** A scan of any format as NIfTI, .nii.gz. @param series which of several in an archive; null for the only one */
export async function convert(
  { name }: ServedModel,
  scan: Blob,
  series: string | null,
  signal: AbortSignal,
): Promise<Blob> {
  const path = `/v1/convert?model=${quoted(name)}${series ? `&series=${quoted(series)}` : ''}`;
  return (await post(path, scan, 'application/x-nifti', signal)).blob();
}

/** A mask of a scan, .nii.gz. */
export const segment = async ({ name }: ServedModel, scan: File, signal: AbortSignal): Promise<Uint8Array> =>
  bytesOf(await post(`/v1/segment?model=${quoted(name)}`, scan, 'application/x-nifti', signal));

const HEADER_LENGTH = 'Inference-Header-Content-Length';

/**
 * What a model makes of one window, by the KServe protocol.
 * @param values as many as its input has, x fastest
 * @param output its name
 */
export async function infer(
  { name, inputs: [input] }: ServedModel,
  values: Int16Array | Float32Array,
  output: string,
  signal: AbortSignal,
): Promise<Float32Array> {
  const isInt16 = input.type === 'int16';
  const data = isInt16 ? Int16Array.from(values, toInt16) : Float32Array.from(values);
  const datatype = isInt16 ? 'INT16' : 'FP32';
  const shape = input.shape.with(0, 1);
  const tensor = { name: input.name, datatype, shape, parameters: { binary_data_size: data.byteLength } };
  const outputs = [{ name: output, parameters: { binary_data: true } }];
  const header = new TextEncoder().encode(JSON.stringify({ inputs: [tensor], outputs }));
  const response = await ask(`/v2/models/${quoted(name)}/infer`, {
    method: 'POST',
    signal,
    body: new Blob([header, data]),
    headers: { [HEADER_LENGTH]: String(header.length) },
  });
  const skip = Number(response.headers.get(HEADER_LENGTH));
  return new Float32Array((await response.arrayBuffer()).slice(skip));
}

/** @returns null where there is no index: then the service has no such route */
export async function indexFacts(): Promise<IndexFacts | null> {
  const { paths } = (await (await ask('/openapi.json')).json()) as { paths: object };
  return '/v1/index' in paths ? ((await (await ask('/v1/index')).json()) as IndexFacts) : null;
}

/** The most similar scans or regions. @param box first and last voxel; null for all of the scan */
export async function search(
  scan: File,
  box: readonly number[] | null,
  count: number,
  signal: AbortSignal,
): Promise<readonly Hit[]> {
  const path = `/v1/search?pictures=true&k=${count}${box ? `&box=${box.join(',')}` : ''}`;
  const { hits } = (await (await post(path, scan, 'application/json', signal)).json()) as { hits: Hit[] };
  return hits;
}

/** A file of the service. */
export const fileAt = async (path: string, name: string, signal: AbortSignal): Promise<File> =>
  new File([await (await ask(path, { signal })).blob()], name);
