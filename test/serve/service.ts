/** A service for tests, with what it logs and leaves behind: the built one, whose workers start four times as fast. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import type { LogFields } from '../../src/serve/log.js';
import type { ServeOptions, Service } from '../../src/serve/serve.js';

const built = new URL('../../dist/src/serve/serve.js', import.meta.url).href;
export const { serve } = (await import(built)) as typeof import('../../src/serve/serve.js');

export type Logged = LogFields & { readonly event: string };

export interface TestService extends Service {
  readonly logs: readonly Logged[];
  /** All files in the scratch folder but the copies of models and the lock. */
  leftBehind(): string[];
  /** The copies of models in the scratch folder. */
  modelCopies(): string[];
  /** Sends a body. */
  post(path: string, body: string | Uint8Array, headers?: Record<string, string>): Promise<Response>;
  get(path: string): Promise<Response>;
  /** Waits until something has been logged. */
  logged(event: string, from?: number): Promise<Logged>;
}

/** What is true soon. */
export async function soon<T>(
  look: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  for (let tries = 0; tries < 3000; tries++) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('it did not come true');
}

/** Starts a service at a free port, and closes it at the end of the file. */
export async function testService(options: ServeOptions): Promise<TestService> {
  const scratch = mkdtempSync(join(tmpdir(), 'p2w-test-serve-'));
  const logs: Logged[] = [];
  const log = (event: string, fields: LogFields = {}) => void logs.push({ event, ...fields });
  const service = await serve({ port: 0, workers: 1, scratch, log, ...options });
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= service.close();
    return closing;
  };
  afterAll(async () => {
    await close();
    expect(readdirSync(scratch)).toEqual([]);
    rmSync(scratch, { recursive: true, force: true });
  });
  return {
    url: service.url,
    logs,
    close,
    modelCopies: () =>
      readdirSync(scratch, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.onnx'))
        .map((name) => join(scratch, name)),
    leftBehind: () =>
      readdirSync(scratch, { recursive: true, encoding: 'utf8' }).filter((name) => /request-/.test(name)),
    post: (path, body, headers = {}) =>
      fetch(service.url + path, { method: 'POST', body: body as Uint8Array<ArrayBuffer>, headers }),
    get: (path) => fetch(service.url + path),
    logged: (event, from = 0) => soon(() => logs.slice(from).find((entry) => entry.event === event)),
  };
}

/** The bytes of a response. */
export const bytesOf = async (response: Response): Promise<Buffer> =>
  Buffer.from(await response.arrayBuffer());

export const fileBytes = (path: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(path));

/** The JSON of a response. */
// biome-ignore lint/suspicious/noExplicitAny: each route answers with an object of its own
export const jsonOf = async (response: Response): Promise<any> => response.json();
