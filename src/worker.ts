import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';

/**
 * Starts a module of this package in a thread: from the sources as well as from the built files.
 * @param metaUrl `import.meta.url` of the caller
 * @param name the module relative to the caller, without extension: `./loader.worker`
 * @param workerData is copied to the thread
 */
export function startWorker(metaUrl: string, name: string, workerData: unknown): Worker {
  const extension = extname(metaUrl);
  const url = new URL(`${name}${extension}`, metaUrl);
  if (extension !== '.ts') return new Worker(url, { workerData });
  // `--import tsx` registers in the main thread only, so a thread has to do it itself.
  const tsx = import.meta.resolve('tsx/esm/api');
  const start = `import('${tsx}').then((tsx) => { tsx.register(); return import('${url}'); })`;
  return new Worker(start, { eval: true, workerData });
}
