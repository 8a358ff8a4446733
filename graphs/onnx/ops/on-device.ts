/** ONNX Runtime's operators for training on a device; its training builds have them, and the others refuse them. */
import { float, int, operator } from '../operator.js';

const DOMAIN = 'com.microsoft';
const flag = [{ type: 'bool', shape: [1] }] as const;

export const onDevice = {
  /**
   * Adds a tensor to a buffer, or, when the third input is true, puts it there instead. The buffer, an input of the graph, is
   * changed where it lies. → whether it was.
   */
  InPlaceAccumulatorV2: operator([3, 3], {}, () => [...flag], DOMAIN),
  /**
   * learning rate [1], step int64 [1], and sequences of parameters, gradients, first and second moments, all changed where
   * they lie (Loshchilov & Hutter 2019). With `adam_mode` 0 as PyTorch arranges it. → whether they were.
   */
  AdamWOptimizer: operator(
    [6, 6],
    {
      alpha: float(0.9),
      beta: float(0.999),
      epsilon: float(1e-6),
      weight_decay: float(0),
      correct_bias: int(1),
      adam_mode: int(0),
    },
    () => [...flag],
    DOMAIN,
  ),
  /**
   * learning rate [1], sequences of parameters and gradients: p ← p − rate · gradient, where they lie. → whether they were;
   * its shape is [1], but ONNX Runtime says [], and warns when it finds [1].
   */
  SGDOptimizerV2: operator([3, 3], {}, () => [{ type: 'bool', shape: [] }], DOMAIN),
  /** A sequence of gradients, scaled where they lie so that their global norm is at most `max_norm`. → the same. */
  InplaceClipGradNorm: operator([1, 1], { max_norm: float(1) }, ([gradients]) => [gradients!], DOMAIN),
};
