import { createRoute, z } from '@hono/zod-openapi';
import type { Routes } from '../context.js';

const status = (text: string) => ({
  description: text,
  content: { 'application/json': { schema: z.object({ status: z.string() }) } },
});

const health = createRoute({
  method: 'get',
  path: '/healthz',
  summary: 'Whether the service is alive',
  responses: { 200: status('It is.') },
});

const ready = createRoute({
  method: 'get',
  path: '/readyz',
  summary: 'Whether the service takes requests',
  responses: { 200: status('It does.'), 503: status('It shuts down, or no worker is ready.') },
});

export const healthRoutes: Routes = (app, { pool, isOpen }) => {
  app.openapi(health, (c) => c.json({ status: 'ok' }, 200));
  app.openapi(ready, (c) => {
    if (!isOpen()) return c.json({ status: 'shutting down' }, 503);
    if (pool.ready === 0) return c.json({ status: 'no worker is ready' }, 503);
    return c.json({ status: 'ready' }, 200);
  });
};
