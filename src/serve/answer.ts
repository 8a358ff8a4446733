/** From a request with a body to its answer: the way that all work takes. */
import type { Context } from 'hono';
import { fromSystemError } from '../errors.js';
import type { RequestFacts, ServiceContext } from './context.js';
import { openFileBody } from './file-body.js';
import type { Answer, Job, ModelFacts } from './jobs.js';
import { checkUpload, receiveUpload } from './receive.js';
import { clientLeft } from './refusal.js';
import type { RequestFolder } from './scratch.js';

/** What a worker has made of an upload. */
interface Done {
  readonly answer: Answer;
  /** Of the file of the model. */
  readonly sha256: string;
  /** Holds the answer where it is a file. */
  readonly folder: RequestFolder;
}

/** Sends an answer as it is; its folder is removed when it has been sent, or nobody wants it any more. */
async function send({ answer, sha256, folder }: Done): Promise<Response> {
  const headers = { 'Content-Type': answer.type, 'Model-SHA256': sha256, ...answer.headers };
  if ('bytes' in answer) {
    await folder.remove();
    return new Response(new Uint8Array(answer.bytes), { headers });
  }
  await folder.removeUpload();
  const { body, bytes } = await openFileBody(answer.file, () => void folder.remove());
  return new Response(body, { headers: { ...headers, 'Content-Length': String(bytes) } });
}

/**
 * Receives an upload, has a worker do its work, and answers with what that made of it. Nothing is left behind.
 * @param onlyThisFile whether no other file of the model will do, such as one that has replaced it meanwhile
 * @throws Refusal, UserError, or what the request's own signal says when the client has gone
 */
export async function answerUpload(
  c: Context<RequestFacts>,
  { pool, scratch, metrics, limits }: ServiceContext,
  model: ModelFacts,
  work: Job['work'],
  onlyThisFile = false,
): Promise<Response> {
  const request = c.req.raw;
  c.set('model', model.name);
  checkUpload(request.headers, limits);
  pool.checkRoom();
  let folder: RequestFolder | undefined;
  try {
    folder = await scratch.newRequest();
    const bytes = await receiveUpload(request, folder, limits);
    c.set('uploadBytes', bytes);
    metrics.uploadBytes.inc(bytes);
    const job: Job = {
      ...{ model: model.name, sha256: onlyThisFile ? model.sha256 : null },
      ...{ folder: folder.path, upload: folder.upload, work },
    };
    return await send({ ...(await pool.run(job, request.signal)), folder });
  } catch (error) {
    await folder?.remove();
    // What the system says is of the scratch folder.
    throw request.signal.aborted ? clientLeft(error) : fromSystemError(error, 'the scratch folder');
  }
}
