/** The layouts of labelled data that can be read, by the name of the task. */
import type { Adapter } from './adapter.js';
import { bmsAdapter } from './bms.js';
import { eccAdapter } from './ecc.js';
import { lcsAdapter } from './lcs.js';
import { manifestAdapter } from './manifest.js';
import { medmnistAdapter } from './medmnist.js';
import { nccAdapter } from './ncc.js';
import { ncsAdapter } from './ncs.js';

export { type Adapter, type AdapterOptions, COLUMN_NAMES, type OwnOption } from './adapter.js';

export const ADAPTERS = {
  manifest: manifestAdapter,
  medmnist: medmnistAdapter,
  ncc: nccAdapter,
  ncs: ncsAdapter,
  lcs: lcsAdapter,
  ecc: eccAdapter,
  bms: bmsAdapter,
} as const satisfies Readonly<Record<string, Adapter>>;

export type TaskName = keyof typeof ADAPTERS;
export const TASK_NAMES = Object.keys(ADAPTERS) as TaskName[];
