import { knownShape, type Value } from '../../onnx/types.js';
import type { PlainForm } from '../form.js';
import { atFirstMaxima, halves } from '../reference/max-pool.js';

/**
 * As the mask, but the values of a window stand beside its maximum, which is broadcast to them: exact where products shorten
 * their operands, and only the ranks are repeated in memory.
 */
export const maxPoolGradBroadcast: PlainForm<'MaxPoolGrad'> = {
  applies: halves,
  build(g, { inputs: [x, , dy] }) {
    const [n, c, d, h, w] = knownShape(dy!.shape, 'MaxPool') as [number, number, number, number, number];
    const ofWindows = (value: Value) => g.reshape(value, [n * c * d, 1, h, 1, w, 1]);
    return [atFirstMaxima(g, [x!, dy!], ofWindows)];
  },
};
