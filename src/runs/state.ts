import type { EngineTensor } from '../runtime/engine.js';

/** All that a training step changes: parameters, running statistics and the optimiser's state, by name. */
export type State = Map<string, EngineTensor>;
