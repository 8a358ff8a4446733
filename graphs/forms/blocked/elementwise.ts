import { formatShape } from '../../onnx/types.js';
import type { BlockedForm } from '../form.js';
import { fitsSlicePairs, mapHalves } from './slice-pairs.js';

export const addBlocked: BlockedForm<'Add'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [a, b], blocked }) =>
    formatShape(a!.shape) === formatShape(b!.shape) && fitsSlicePairs(a!.shape, blocked),
  build: (g, _, operands) => [
    mapHalves([operands.slicePairs(0), operands.slicePairs(1)], (a, b) => g.add('Add', [a, b])),
  ],
};

export const reluBlocked: BlockedForm<'Relu'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x], blocked }) => fitsSlicePairs(x!.shape, blocked),
  build: (g, _, operands) => [mapHalves([operands.slicePairs(0)], (half) => g.add('Relu', [half]))],
};
