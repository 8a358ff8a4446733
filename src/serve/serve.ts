/** The service: models behind HTTP. */
import { availableParallelism } from 'node:os';
import { serve as listen, type ServerType } from '@hono/node-server';
import { checkInteger, fromSystemError } from '../errors.js';
import { memoryLimitBytes } from '../machine.js';
import { makeApp } from './app.js';
import type { ServiceContext } from './context.js';
import type { Log } from './log.js';
import { makeMetrics } from './metrics.js';
import { openPool } from './pool.js';
import { openScratch } from './scratch.js';
import { guardBy, readToken } from './token.js';

export interface ServeOptions {
  /** Models as `export` writes them: `FILE`, or `NAME=FILE`. */
  readonly models: readonly string[];
  /** `127.0.0.1` without it. */
  readonly host?: string;
  /** 8080 without it; 0 is any free one. */
  readonly port?: number;
  /** Processes that run models; one for each two cores without it. */
  readonly workers?: number;
  /** Most bytes of an upload, and of what it unpacks to; 2 GiB without it. */
  readonly maxBodyBytes?: number;
  /** Jobs that may wait; 64 without it. */
  readonly queue?: number;
  /** Time that a job has, waiting included; 300 s without it. */
  readonly timeoutSeconds?: number;
  /** File with the token that clients must send; needed off loopback. */
  readonly tokenFile?: string;
  /** Folder for uploads; the system's for temporary files without it. */
  readonly scratch?: string;
  readonly device?: string;
  /** Is told what happens. */
  readonly log?: Log;
}

/** A service that runs. */
export interface Service {
  readonly url: string;
  /** Takes no more requests, finishes those that it has, and ends. */
  close(): Promise<void>;
}

const GRACE_SECONDS = 30;
const LEAST_BYTES_PER_SECOND = 1 << 16;

/** `NAME=FILE`, or a file that gives its name. */
function modelFiles(models: readonly string[]) {
  return models.map((text) => {
    const at = text.indexOf('=');
    const path = text.slice(at + 1);
    const name = at > 0 ? text.slice(0, at) : path.replace(/^.*[/\\]/, '').replace(/\.onnx$/i, '');
    return { name, path };
  });
}

/**
 * Serves models over HTTP. See `docs/production.md`.
 * @throws UserError when a model is refused, or the address cannot be listened at
 * @example
 * const service = await serve({ models: ['encoder/encoder.onnx'] });
 * await service.close();
 */
export async function serve(options: ServeOptions): Promise<Service> {
  const {
    host = '127.0.0.1',
    port = 8080,
    maxBodyBytes = 2 ** 31,
    queue = 64,
    timeoutSeconds = 300,
  } = options;
  const { workers = Math.ceil(availableParallelism() / 2), device = 'auto', log = () => {} } = options;
  checkInteger('--workers', workers, 1);
  checkInteger('--queue', queue, 1);
  const token = readToken(options.tokenFile, host);
  const metrics = makeMetrics();
  const scratch = openScratch(4 * maxBodyBytes, options.scratch);
  const settings = {
    models: modelFiles(options.models),
    ...{ device, threads: Math.max(1, Math.floor(availableParallelism() / workers)), batch: 1 },
    maxUnpackedBytes: maxBodyBytes,
    maxScanBytes: memoryLimitBytes() / (workers + 1),
  };
  const pool = await openPool({ ...{ workers, queue, timeoutSeconds, settings, metrics, log } });
  let isOpen = true;
  const context: ServiceContext = {
    ...{ pool, scratch, metrics, isOpen: () => isOpen },
    limits: { maxBodyBytes, graceSeconds: GRACE_SECONDS, leastBytesPerSecond: LEAST_BYTES_PER_SECOND },
  };
  const app = makeApp(context, guardBy(token), log);
  const { server, address } = await new Promise<{ server: ServerType; address: { port: number } }>(
    (resolve, reject) => {
      const started = listen(
        { fetch: app.fetch, hostname: host, port, overrideGlobalObjects: false },
        (info) => resolve({ server: started, address: info }),
      );
      started.once('error', (error) => reject(fromSystemError(error, `${host}:${port}`)));
    },
  );
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
  log('listening', { url, workers, runtime: pool.runtime });
  return {
    url,
    async close() {
      isOpen = false;
      const closed = new Promise((resolve) => server.close(resolve));
      await pool.drained();
      await closed;
      await pool.close();
      scratch.close();
    },
  };
}
