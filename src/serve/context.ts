/** What the routes of the service work with. */
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { ServedIndex } from './index-facts.js';
import type { Metrics } from './metrics.js';
import type { Pool } from './pool.js';
import type { ReceiveLimits } from './receive.js';
import type { Scratch } from './scratch.js';

export interface ServiceContext {
  readonly pool: Pool;
  readonly scratch: Scratch;
  readonly metrics: Metrics;
  readonly limits: ReceiveLimits;
  /** What is searched; null where the service has no index. */
  readonly index: ServedIndex | null;
  /** Whether requests are taken; not while the service shuts down. */
  readonly isOpen: () => boolean;
}

/** What is known of a request while it is answered. */
export interface RequestFacts {
  Variables: { requestId: string; model?: string; uploadBytes?: number };
}

export type App = OpenAPIHono<RequestFacts>;

/** Adds the routes of one module. */
export type Routes = (app: App, context: ServiceContext) => void;
