/**
 * ONNX Runtime's own operators on its blocked layout, which its CPU kernels are fastest in: of a tensor [N,C,H,W],
 * groups of 8 or 16 channels lie together, [N,C/B,H,W,B]. Shapes are written as if nothing were moved.
 * ONNX Runtime uses them when it optimises models with constant weights; here the weights are computed.
 */
import { floats, int, ints, operator, requiredInt, requiredInts, sameType, string } from '../operator.js';
import { formatShape, GraphError } from '../types.js';
import { resolveWindow, windowOutput } from './spatial.js';

const DOMAIN = 'com.microsoft.nchwc';
const window = { kernel_shape: requiredInts, pads: ints([0, 0, 0, 0]), strides: ints([1, 1]) };

export const blocked = {
  /** [N,C,H,W] → the same, blocked. */
  ReorderInput: operator([1, 1], {}, ([x]) => [x!], DOMAIN),
  /** A blocked [N,C,H,W] → its first `channels` channels as they were. */
  ReorderOutput: operator(
    [1, 1],
    { channels: requiredInt },
    ([x], { channels }) => [{ type: x!.type, shape: [x!.shape[0]!, channels, ...x!.shape.slice(2)] }],
    DOMAIN,
  ),
  /**
   * x [N,C,H,W] blocked (fewer channels than a block: not blocked), w [K,C/group,kh,kw] in the order
   * [K/B,C/B,kh,kw,B of C,B of K], bias [K], and a tensor that is added to the result → [N,K,H′,W′] blocked.
   */
  BlockedConv: operator(
    [2, 4],
    {
      ...window,
      dilations: ints([1, 1]),
      group: int(1),
      activation: string(),
      activation_params: floats(),
    },
    (inputs, a) => {
      const [x, w] = [inputs[0]!, inputs[1]!];
      if (x.shape.length !== 4 || x.shape[1] !== (w.shape[1] as number) * a.group)
        throw new GraphError(`input ${formatShape(x.shape)} and weights ${formatShape(w.shape)} do not fit`);
      const sizes = windowOutput(x.shape.slice(2), resolveWindow(a, []));
      const shape = [x.shape[0]!, w.shape[0]!, ...sizes];
      const added = inputs[3];
      if (added && added.name !== '' && added.shape.join() !== shape.join())
        throw new GraphError(`${formatShape(added.shape)} cannot be added to ${formatShape(shape)}`);
      return [{ type: sameType([x, w]), shape }];
    },
    DOMAIN,
    'Conv',
  ),
  /** As MaxPool on [N,C,H,W], blocked. */
  BlockedMaxPool: operator(
    [1, 1],
    window,
    ([x], a) => [
      {
        type: x!.type,
        shape: [...x!.shape.slice(0, 2), ...windowOutput(x!.shape.slice(2), resolveWindow(a, []))],
      },
    ],
    DOMAIN,
    'MaxPool',
  ),
  /** The mean of every channel: [N,C,H,W] blocked → [N,C,1,1], in the order of the channels. */
  BlockedGlobalAveragePool: operator(
    [1, 1],
    {},
    ([x]) => [{ type: x!.type, shape: [...x!.shape.slice(0, 2), 1, 1] }],
    DOMAIN,
    'GlobalAveragePool',
  ),
};
