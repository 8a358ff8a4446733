/** The service: models behind HTTP. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { serve as listen } from '@hono/node-server';
import { checkInteger, UserError } from '../errors.js';
import { memoryLimitBytes } from '../machine.js';
import { modelPath } from '../pretrained.js';
import { makeApp } from './app.js';
import type { App, ServiceContext } from './context.js';
import { checkEncoder, openServedIndex } from './index-facts.js';
import type { Log } from './log.js';
import { makeMetrics } from './metrics.js';
import { parseModels, watchModels } from './model-files.js';
import { openPool } from './pool.js';
import { openScratch } from './scratch.js';
import { guardBy, readToken } from './token.js';

export interface ServeOptions {
  /** Models as `export` writes them, or that come with the package: `FILE`, or `NAME=FILE`. */
  readonly models: readonly string[];
  /** `127.0.0.1` without it. */
  readonly host?: string;
  /** 8080 without it; 0 is any free one. */
  readonly port?: number;
  /** Processes that run models, each with its share of the cores; one a core, but at most 4, without it. */
  readonly workers?: number;
  /** Most bytes of an upload, and of what it unpacks to; 2 GiB without it. */
  readonly maxBodyBytes?: number;
  /** Jobs that may wait; 64 without it. */
  readonly queue?: number;
  /** Time that a job has, waiting included; 300 s without it. */
  readonly timeoutSeconds?: number;
  /** Folder that `index` wrote, to be searched; its encoder must be among the models. */
  readonly index?: string;
  /** File with the token that clients must send; needed off loopback. */
  readonly tokenFile?: string;
  /** Folder for uploads; the system's for temporary files without it. */
  readonly scratch?: string;
  readonly device?: string;
  /** Windows that are computed at once; without it 1 on a CPU, and what is measured to be fastest on a GPU. */
  readonly batch?: number;
  /** Time that requests have to finish when the service ends; 30 s without it. */
  readonly drainSeconds?: number;
  /** Is told what happens. */
  readonly log?: Log;
}

/** A service that runs. */
export interface Service {
  readonly url: string;
  /** Takes no more requests, finishes those that it has, and ends. */
  close(): Promise<void>;
}

/** Time that any upload has; slower ones must have come as fast as this by then, and go on so. */
const GRACE_SECONDS = 30;
const LEAST_BYTES_PER_SECOND = 1 << 16;
/** Uploads of the largest size that the scratch folder holds. */
const UPLOADS = 4;
/** A day. Node.js has no timers of more than 24, and ends longer ones at once. */
const MOST_SECONDS = 86_400;
/** Clients that are connected at once. */
const MOST_CONNECTIONS = 4096;

const HTTP_OPTIONS = {
  /** Who connects must say what for. */
  headersTimeout: 10_000,
  connectionsCheckingInterval: 1000,
  /** Longer than gateways keep theirs: one that closes must not do so while a request is on its way. */
  keepAliveTimeout: 65_000,
};

interface Listening {
  readonly hostname: string;
  readonly port: number;
  /** Time that a connection may be without a byte: of those that wait for an answer, and those that do not fetch it. */
  readonly silentSeconds: number;
  /** Time that the largest upload may take. */
  readonly uploadSeconds: number;
}

function listenAt(
  fetch: App['fetch'],
  { hostname, port, silentSeconds, uploadSeconds }: Listening,
): Promise<Server> {
  return new Promise((resolve, reject) => {
    const requestTimeout = HTTP_OPTIONS.headersTimeout + Math.ceil(1000 * uploadSeconds);
    const serverOptions = { ...HTTP_OPTIONS, requestTimeout };
    const options = { fetch, hostname, port, overrideGlobalObjects: false, serverOptions };
    const server = listen(options, () => resolve(server)) as Server;
    server.maxConnections = MOST_CONNECTIONS;
    server.timeout = 1000 * silentSeconds;
    server.once('error', (error) => reject(addressError(error, `${hostname}:${port}`)));
  });
}

/** @returns an error for the user where an address cannot be listened at */
function addressError(error: NodeJS.ErrnoException, where: string): Error {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'another program listens at this address',
    EADDRNOTAVAIL: 'this machine does not have this address',
    ENOTFOUND: 'this machine does not have this address',
    EACCES: 'this port is for the system’s own services',
  };
  const what = reasons[error.code ?? ''];
  return what
    ? new UserError('usage', { what, where, fix: 'choose another --port or --host', cause: error })
    : error;
}

/** Takes no more connections, and waits for the requests that are under way, but not for ever. */
async function closeServer(server: Server, drainSeconds: number): Promise<void> {
  const idle = setInterval(() => server.closeIdleConnections(), 100);
  const late = setTimeout(() => server.closeAllConnections(), 1000 * drainSeconds);
  await new Promise((resolve) => server.close(resolve));
  clearInterval(idle);
  clearTimeout(late);
}

/**
 * Serves models over HTTP. See `docs/production.md`.
 * @throws UserError when a model is refused, or the address cannot be listened at
 * @example
 * const service = await serve({ models: ['encoder/encoder.onnx'] });
 * await service.close();
 */
export async function serve(options: ServeOptions): Promise<Service> {
  const { host = '127.0.0.1', port = 8080, device = 'auto', batch = null, log = () => {} } = options;
  const { maxBodyBytes = 2 ** 31, queue = 64, timeoutSeconds = 300, drainSeconds = 30 } = options;
  const cores = availableParallelism();
  const { workers = Math.min(cores, 4) } = options;
  for (const [name, value] of Object.entries({ workers, queue, batch: batch ?? 1 }))
    checkInteger(`--${name}`, value, 1);
  for (const [name, value] of Object.entries({ timeout: timeoutSeconds, drain: drainSeconds }))
    checkInteger(`--${name}`, value, 1, MOST_SECONDS);
  checkInteger('--port', port, 0, 2 ** 16 - 1);
  const sources = parseModels(options.models).map(({ name, path }) => ({ name, path: modelPath(path) }));
  const token = readToken(options.tokenFile, host);
  const index = options.index === undefined ? null : openServedIndex(options.index);
  const metrics = makeMetrics();
  const closers: (() => unknown)[] = [];
  const closeAll = async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    const scratch = openScratch(UPLOADS * maxBodyBytes, options.scratch);
    closers.push(scratch.close);
    const { pool, close: closeWatch } = await watchModels(
      sources,
      scratch.models,
      { log, metrics },
      (models) =>
        openPool({
          ...{ queue, timeoutSeconds, metrics, log },
          settings: {
            ...{
              models,
              index: index?.source ?? null,
              device,
              batch,
              threads: Math.max(1, Math.floor(cores / workers)),
            },
            maxUnpackedBytes: maxBodyBytes,
            memoryBytes: memoryLimitBytes(),
            workers,
          },
        }),
    );
    closers.push(pool.close, closeWatch);
    if (index) checkEncoder(index, pool.models);
    let isOpen = true;
    const context: ServiceContext = {
      ...{ pool, scratch, metrics, index, isOpen: () => isOpen },
      limits: { maxBodyBytes, graceSeconds: GRACE_SECONDS, leastBytesPerSecond: LEAST_BYTES_PER_SECOND },
    };
    const server = await listenAt(makeApp(context, guardBy(token), log).fetch, {
      ...{ hostname: host, port, silentSeconds: 2 * timeoutSeconds },
      uploadSeconds: GRACE_SECONDS + maxBodyBytes / LEAST_BYTES_PER_SECOND,
    });
    const url = `http://${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;
    log('listening', { url, workers, runtime: pool.runtime });
    return {
      url,
      async close() {
        isOpen = false;
        log('closing', { waiting: pool.waiting, running: pool.running });
        await closeServer(server, drainSeconds);
        await closeAll();
        log('closed');
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
