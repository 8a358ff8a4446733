import { createRoute } from '@hono/zod-openapi';
import { version } from '../../version.js';
import type { Routes } from '../context.js';

const route = createRoute({
  method: 'get',
  path: '/metrics',
  summary: 'Metrics for Prometheus',
  responses: {
    200: {
      description: 'In its text format.',
      content: { 'text/plain': { schema: { type: 'string' as const } } },
    },
  },
});

export const metricsRoutes: Routes = (app, { pool, scratch, metrics }) => {
  app.openapi(route, async (c) => {
    metrics.waiting.set(pool.waiting);
    metrics.running.set(pool.running);
    metrics.workers.set(pool.ready);
    metrics.workerRss.set(pool.rssBytes);
    metrics.scratchBytes.set(scratch.bytes);
    metrics.models.reset();
    for (const { name, kind, sha256 } of pool.models) metrics.models.set({ name, kind, sha256 }, 1);
    metrics.build.set({ version, runtime: pool.runtime, node: process.version }, 1);
    return c.text(await metrics.registry.metrics(), 200, {
      'Content-Type': metrics.registry.contentType,
    }) as never;
  });
};
