import { knownShape, type Value } from '../../onnx/types.js';
import type { PlainForm } from '../form.js';
import { maxPoolGradMask } from '../reference/max-pool.js';

/**
 * As the mask, but the values of a window stand beside its maximum, which is broadcast to them: exact where products shorten
 * their operands, and nothing is repeated in memory.
 */
export const maxPoolGradBroadcast: PlainForm<'MaxPoolGrad'> = {
  applies: (call) => maxPoolGradMask.applies!(call),
  build(g, { inputs: [x, y, dy] }) {
    const [n, c, d, h, w] = knownShape(y!.shape, 'MaxPool');
    const slices = n! * c! * d!;
    const ofWindows = (value: Value) => g.reshape(value, [slices, 1, h!, 1, w!, 1]);
    const below = g.add('Less', [g.reshape(x!, [slices, 2, h!, 2, w!, 2]), ofWindows(y!)]);
    const dx = g.add('Where', [below, g.scalar(0, dy!.type), ofWindows(dy!)]);
    return [g.reshape(dx, [n!, c!, 2 * d!, 2 * h!, 2 * w!])];
  },
};
