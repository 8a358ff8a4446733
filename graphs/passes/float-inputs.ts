/**
 * A graph that takes float32 in place of int16 and uint8, whose values floats hold exactly: ONNX Runtime on WebGPU cannot
 * cast them.
 *
 * - All that {@link rebuild} promises.
 * - No input is of int16 or uint8; names, order and sizes of inputs, and all results, stay the same.
 * - Casts stay: of what is float32 already they cost nothing.
 */
import type { ElementType, Graph } from '../onnx/types.js';
import { rebuild } from './rebuild.js';

const INTEGERS: ReadonlySet<ElementType> = new Set(['int16', 'uint8']);

/** @throws GraphError when a node wants the integers */
export const floatInputs = (graph: Graph): Graph =>
  rebuild(graph, (input) => (INTEGERS.has(input.type) ? { ...input, type: 'float32' } : input));
