import { type InferInput, int, operator } from '../operator.js';
import { formatShape, GraphError } from '../types.js';

/** @throws GraphError unless scale and zero point are one each, or one for each index of the axis */
function checkScale(x: InferInput, scale: InferInput, zero: InferInput, axis: number): void {
  const size = x.shape.at(axis);
  for (const { shape, name } of [scale, zero])
    if (shape.length > 1 || (shape.length === 1 && shape[0] !== size))
      throw new GraphError(
        `"${name}" must be a scalar or one value for each index of axis ${axis} of ${formatShape(x.shape)}, got ${formatShape(shape)}`,
      );
}

/** x, scale, zero point: real value = scale · (stored value − zero point), for each index of `axis` or for all. */
export const quantisation = {
  QuantizeLinear: operator([3, 3], { axis: int(1) }, ([x, scale, zero], { axis }) => {
    checkScale(x!, scale!, zero!, axis);
    return [{ type: zero!.type, shape: x!.shape }];
  }),
  DequantizeLinear: operator([3, 3], { axis: int(1) }, ([x, scale, zero], { axis }) => {
    checkScale(x!, scale!, zero!, axis);
    return [{ type: scale!.type, shape: x!.shape }];
  }),
};
