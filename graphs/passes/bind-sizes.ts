/**
 * An exported graph for inputs of one size.
 *
 * - All that {@link rebuild} promises.
 * - Inputs have the sizes that are given for them; where all sizes are numbers, all shapes inside are known, so that forms
 *   can be chosen.
 */
import type { Graph } from '../onnx/types.js';
import { rebuild } from './rebuild.js';

/**
 * @param shapes of inputs, by name; the others keep theirs
 * @throws GraphError when the sizes do not suit the graph, or it has operators that are not ours
 */
export const bindSizes = (graph: Graph, shapes: Readonly<Record<string, readonly number[]>>): Graph =>
  rebuild(graph, (input) => ({ ...input, shape: shapes[input.name] ?? input.shape }));
