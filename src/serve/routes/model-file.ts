import { createRoute, z } from '@hono/zod-openapi';
import type { Routes } from '../context.js';
import { openFileBody } from '../file-body.js';
import { problemResponse } from '../problem.js';
import { Refusal } from '../refusal.js';

const route = createRoute({
  method: 'get',
  path: '/v1/models/{model}/file',
  summary: 'A model itself',
  description: 'As ONNX: to be run where the scan is.',
  request: { params: z.object({ model: z.string() }) },
  responses: {
    200: {
      description: 'The file.',
      content: {
        'application/octet-stream': { schema: { type: 'string' as const, format: 'binary' } },
      },
    },
    default: problemResponse,
  },
});

export const modelFileRoutes: Routes = (app, { pool }) => {
  app.openapi(route, async (c) => {
    const { model: name } = c.req.valid('param');
    const facts = pool.models.find((model) => model.name === name);
    const file = pool.files.find((model) => model.name === name);
    if (!facts || !file)
      throw new Refusal(404, 'there is no such model', {
        got: name.slice(0, 100),
        expected: pool.models.map((model) => model.name).join(', '),
      });
    const tag = `"${facts.sha256}"`;
    const headers = { ETag: tag, 'Cache-Control': 'private, no-cache', 'Model-SHA256': facts.sha256 };
    if (c.req.header('if-none-match') === tag) return c.body(null, 304, headers) as never;
    const { body, bytes } = await openFileBody(file.path);
    return c.body(body, 200, {
      ...headers,
      'Content-Type': 'application/octet-stream',
      'Content-Length': String(bytes),
    }) as never;
  });
};
