/** Who may use the service, and how it is started. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ServeOptions, serve } from '../../src/serve/serve.js';
import { userErrorOf } from '../data/scan/samples.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { writeThresholds } from '../inference/models.js';
import { testService } from './service.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
writeThresholds(at('masks.onnx'));
const TOKEN = 'a-token-of-32-characters-or-more';
writeFileSync(at('token'), `${TOKEN}\n`);
const failed = (options: Partial<ServeOptions>) =>
  userErrorOf(serve({ models: [at('masks.onnx')], port: 0, scratch: at('scratch'), ...options }));

describe('a token', () => {
  test('opens everything but what health checks and readers of the interface need', async () => {
    const service = await testService({
      models: [at('masks.onnx')],
      tokenFile: at('token'),
      host: '0.0.0.0',
    });
    const status = async (path: string, headers: Record<string, string> = {}) =>
      (await fetch(service.url + path, { headers })).status;
    for (const path of ['/healthz', '/readyz', '/v2/health/ready', '/openapi.json', '/reference'])
      expect(await status(path)).toBe(200);
    for (const path of ['/v1/models', '/metrics', '/v2', '/v2/models/masks', '/nothing'])
      expect(await status(path)).toBe(401);
    expect((await service.post('/v1/segment', 'x')).status).toBe(401);
    for (const wrong of [TOKEN, `Bearer ${TOKEN}x`, 'Bearer ', `Basic ${TOKEN}`])
      expect(await status('/v1/models', { Authorization: wrong })).toBe(401);
    expect(await status('/v1/models', { Authorization: `Bearer ${TOKEN}` })).toBe(200);
    expect(JSON.stringify(service.logs)).not.toContain(TOKEN);
  });

  test('is required where other machines can reach the service', async () => {
    for (const host of ['0.0.0.0', '::', '192.168.1.1', 'localhost.example.org'])
      expect((await failed({ host })).facts).toMatchObject({ where: '--host', got: host });
  });

  test('must be one', async () => {
    writeFileSync(at('short'), 'secret');
    writeFileSync(at('spaces'), 'a token of thirty-two characters');
    for (const name of ['short', 'spaces'])
      expect((await failed({ tokenFile: at(name) })).facts.what).toMatch(/not a usable token/);
    expect((await failed({ tokenFile: at('none') })).kind).toBe('disk');
  });
});

describe('a service does not start', () => {
  test.each<[string, Partial<ServeOptions>, RegExp]>([
    ['without its model', { models: [at('none.onnx')] }, /no such file/],
    ['with two models of one name', { models: [at('masks.onnx'), at('masks.onnx')] }, /several models/],
    ['with a model of no name', { models: [`a b=${at('masks.onnx')}`] }, /cannot be called/],
    ['with no worker', { workers: 0 }, /at least 1/],
    ['at no port', { port: 70_000 }, /--port: this must be an integer from 0 to 65535/],
    ['with more time than timers have', { timeoutSeconds: 3_000_000 }, /--timeout: .*from 1 to 86400/],
  ])('%s', async (_, options, message) => {
    expect((await failed(options)).message).toMatch(message);
  });

  test('with a file that is no model, and names that file', async () => {
    writeFileSync(at('text.onnx'), 'hello');
    expect((await failed({ models: [at('text.onnx')] })).facts.where).toBe(at('text.onnx'));
  });

  test('at an address that is taken', async () => {
    const service = await testService({ models: [at('masks.onnx')] });
    const error = await failed({ port: Number(new URL(service.url).port) });
    expect(error.facts).toMatchObject({ what: 'another program listens at this address' });
  });
});
