import type { Config } from '../config.js';
import type { Engine } from './engine.js';
import { nodeEngine } from './node.js';

/** The engine for a device. The CPU is the only one so far, and always there: `auto` means it. */
export const engineFor = (_device: Config['device']): Engine => nodeEngine;
