/** The routes of the service, and what is done for all of them. */
import { randomUUID } from 'node:crypto';
import { OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { matchedRoutes } from 'hono/route';
import type { App, RequestFacts, Routes, ServiceContext } from './context.js';
import { kserveError } from './kserve.js';
import type { Log } from './log.js';
import { problem } from './problem.js';
import { Refusal, refusalOf } from './refusal.js';
import { classifyRoutes } from './routes/classify.js';
import { convertRoutes } from './routes/convert.js';
import { embedRoutes } from './routes/embed.js';
import { healthRoutes } from './routes/health.js';
import { kserveHealthRoutes, kserveRoutes } from './routes/kserve.js';
import { metricsRoutes } from './routes/metrics.js';
import { modelFileRoutes } from './routes/model-file.js';
import { modelRoutes } from './routes/models.js';
import { pageRoutes } from './routes/page.js';
import { reconstructRoutes } from './routes/reconstruct.js';
import { referenceRoutes } from './routes/reference.js';
import { searchRoutes } from './routes/search.js';
import { segmentRoutes } from './routes/segment.js';

/** For everybody: a new route that tells nothing of scans and models is added here. */
const OPEN: readonly Routes[] = [healthRoutes, kserveHealthRoutes, referenceRoutes, pageRoutes];

/** For those with a token, where one is set: a new route is added here. */
const GUARDED: readonly Routes[] = [
  modelRoutes,
  modelFileRoutes,
  embedRoutes,
  segmentRoutes,
  classifyRoutes,
  reconstructRoutes,
  searchRoutes,
  convertRoutes,
  kserveRoutes,
  metricsRoutes,
];

/** Identifiers that gateways give; others are not written into logs. */
const REQUEST_ID = /^[\w.-]{1,64}$/;

/** Counts and logs every request, by its route: paths may hold anything. */
const observed =
  ({ metrics }: ServiceContext, log: Log): MiddlewareHandler<RequestFacts> =>
  async (c, next) => {
    const began = performance.now();
    const given = c.req.header('x-request-id') ?? '';
    const id = REQUEST_ID.test(given) ? given : randomUUID();
    c.set('requestId', id);
    await next();
    c.header('X-Request-Id', id);
    c.header('X-Content-Type-Options', 'nosniff');
    // Nobody reads the body of an answer to HEAD, and it may hold a file open.
    if (c.req.method === 'HEAD') await c.res.body?.cancel();
    const seconds = (performance.now() - began) / 1000;
    const route = matchedRoutes(c).find(({ method }) => method === c.req.method)?.path ?? 'unknown';
    const { status } = c.res;
    metrics.requests.inc({ route, method: c.req.method, status });
    metrics.requestSeconds.observe({ route }, seconds);
    const [model, bytes, refusal] = [c.get('model'), c.get('uploadBytes'), c.error && refusalOf(c.error)];
    log('request', {
      ...{ id, method: c.req.method, route, status, ms: Math.round(1000 * seconds) },
      ...(model !== undefined && { model }),
      ...(bytes !== undefined && { bytes }),
      ...(refusal && { reason: refusal.what }),
      ...(refusal && refusal.status >= 500 && { cause: String(refusal.facts.cause ?? '').slice(0, 2000) }),
    });
  };

/** Errors of validation as ours. */
const defaultHook = (result: { readonly success: boolean; readonly error?: unknown }) => {
  if (result.success) return;
  throw new Refusal(400, 'the options of this request are invalid', {
    got: z.prettifyError(result.error as z.ZodError).slice(0, 500),
    expected: 'see /reference',
  });
};

/**
 * Builds the service's routes.
 * @param guard refuses those without a token
 */
export function makeApp(context: ServiceContext, guard: MiddlewareHandler<RequestFacts>, log: Log): App {
  const app: App = new OpenAPIHono<RequestFacts>({ defaultHook });
  app.use(observed(context, log));
  const refuse = (c: Context<RequestFacts>, refusal: Refusal) =>
    (/^\/v2(\/|$)/.test(c.req.path) ? kserveError : problem)(c, refusal);
  app.onError((error, c) => refuse(c, refusalOf(error)));
  app.notFound((c) => refuse(c, new Refusal(404, 'there is nothing here', { expected: 'see /reference' })));
  for (const add of OPEN) add(app, context);
  app.use(guard);
  app.use(async (_, next) => {
    if (!context.isOpen()) throw new Refusal(503, 'the service is shutting down', { retryAfterSeconds: 5 });
    await next();
  });
  for (const add of GUARDED) add(app, context);
  return app;
}
