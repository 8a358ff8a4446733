import type { OperatorName } from '../../onnx/ops/index.js';
import { findOperator } from '../../onnx/registry.js';
import { formatShape, type Node } from '../../onnx/types.js';
import type { BlockedForm } from '../form.js';
import { fitsSlicePairs, mapHalves } from './slice-pairs.js';

/** Operators whose first output is a feature map. */
const MAKERS: ReadonlySet<OperatorName | undefined> = new Set([
  'Add',
  'Conv',
  'ConvInputGrad',
  'UpsampleConv',
  'UpsampleConvInputGrad',
  'MaxPoolGrad',
]);
const makesSlicePairs = (node: Node | undefined) => node !== undefined && MAKERS.has(findOperator(node));

/** The sum of two feature maps, where both come from operators that may make slice pairs. */
export const addBlocked: BlockedForm<'Add'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [a, b], madeBy, blocked }) =>
    formatShape(a!.shape) === formatShape(b!.shape) &&
    fitsSlicePairs(a!.shape, blocked) &&
    (madeBy?.every(makesSlicePairs) ?? false),
  build: (g, _, operands) => [
    mapHalves([operands.slicePairs(0), operands.slicePairs(1)], (a, b) => g.add('Add', [a, b])),
  ],
};

/** ReLU of a feature map that comes from an operator that may make slice pairs. */
export const reluBlocked: BlockedForm<'Relu'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x], madeBy, blocked }) =>
    fitsSlicePairs(x!.shape, blocked) && (madeBy?.every(makesSlicePairs) ?? false),
  build: (g, _, operands) => [mapHalves([operands.slicePairs(0)], (half) => g.add('Relu', [half]))],
};
