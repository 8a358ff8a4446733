/** From a request with a body to its answer: the way that all work takes. */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { Context } from 'hono';
import type { RequestFacts, ServiceContext } from './context.js';
import type { Answer, Job, ModelFacts } from './jobs.js';
import { checkUpload, NAME, receiveUpload } from './receive.js';
import { clientLeft } from './refusal.js';
import type { RequestFolder } from './scratch.js';

/** Answers of at most as many bytes are sent from memory. */
const SMALL_BYTES = 1 << 20;

/** A response of a file, whose folder is removed when it has been sent, or nobody wants it any more. */
async function respondWith(
  { file, type, headers }: Answer,
  sha256: string,
  folder: RequestFolder,
): Promise<Response> {
  const { size } = await stat(file);
  const all = { 'Content-Type': type, 'Content-Length': String(size), 'Model-SHA256': sha256, ...headers };
  if (size <= SMALL_BYTES) {
    const bytes = await readFile(file);
    await folder.remove();
    return new Response(new Uint8Array(bytes), { headers: all });
  }
  const stream = createReadStream(file);
  stream.once('close', () => void folder.remove());
  return new Response(Readable.toWeb(stream) as ReadableStream, { headers: all });
}

/**
 * Receives an upload, has a worker do its work, and sends what that made of it. Nothing is left behind.
 * @throws Refusal, UserError, or what the request's own signal says when the client has gone
 */
export async function answerUpload(
  c: Context<RequestFacts>,
  { pool, scratch, metrics, limits }: ServiceContext,
  model: ModelFacts,
  work: Job['work'],
): Promise<Response> {
  const request = c.req.raw;
  c.set('model', model.name);
  checkUpload(request.headers, limits);
  pool.checkRoom();
  const folder = scratch.newRequest();
  try {
    const bytes = await receiveUpload(request, folder, limits);
    c.set('uploadBytes', bytes);
    metrics.uploadBytes.inc(bytes);
    const job = { model: model.name, folder: folder.path, upload: NAME, work };
    const { answer, sha256 } = await pool.run(job, request.signal);
    return await respondWith(answer, sha256, folder);
  } catch (error) {
    await folder.remove();
    throw request.signal.aborted ? clientLeft(error) : error;
  }
}
