/** The layouts of labelled data that can be read, by the name of the task. */
import type { Adapter } from './adapter.js';
import { manifestAdapter } from './manifest.js';
import { medmnistAdapter } from './medmnist.js';

export type { Adapter, AdapterOptions, Normalisation } from './adapter.js';
export { NORMALISATIONS } from './adapter.js';

export const ADAPTERS = {
  manifest: manifestAdapter,
  medmnist: medmnistAdapter,
} as const satisfies Readonly<Record<string, Adapter>>;

export type TaskName = keyof typeof ADAPTERS;
export const TASK_NAMES = Object.keys(ADAPTERS) as TaskName[];
