import type { Graph, Value } from './types.js';

/** The inputs that a run must be given: files of IR versions before 4 list their weights as inputs, too. */
export const givenInputs = ({ inputs, initializers }: Graph): Value[] =>
  inputs.filter(({ name }) => !initializers.has(name));
