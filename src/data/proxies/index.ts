import { type CorruptedBatch, genesis } from './genesis/batch.js';
import type { ProxyName } from './names.js';
import { type PartBatch, parts2whole } from './parts2whole/part-batch.js';
import type { ProxyTask } from './proxy.js';

/** Samples for one run of a graph, as the proxy task wants them. */
export type Batch = PartBatch | CorruptedBatch;

/** How the samples of each proxy task are made. */
export const proxies: Readonly<Record<ProxyName, ProxyTask<Batch>>> = { parts2whole, genesis };
