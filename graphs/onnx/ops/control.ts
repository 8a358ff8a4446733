import { operator, requiredGraph } from '../operator.js';

/** Operators that hold graphs; inner nodes may read names of the outer graph. */
export const control = {
  /** condition → the outputs of one of two graphs, which must agree in type and shape. */
  If: operator([1, 1], { then_branch: requiredGraph, else_branch: requiredGraph }, (_, { then_branch }) => [
    ...then_branch.outputs,
  ]),
  /** trip count, condition, state… → state after the last trip, then what each trip gave, stacked. */
  Loop: operator([2, Number.POSITIVE_INFINITY], { body: requiredGraph }, (inputs, { body }) => {
    const states = inputs.length - 2;
    return body.outputs
      .slice(1)
      .map(({ type, shape }, i) => ({ type, shape: i < states ? shape : ['trips', ...shape] }));
  }),
};
