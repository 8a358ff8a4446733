import { formatShape, type Node } from '../../onnx/types.js';
import type { PlanesForm } from '../form.js';
import { fitsPlanes, mapHalves } from './slice-pairs.js';

/** Operators whose first output is a feature map. */
const MAKERS: ReadonlySet<string> = new Set([
  'Add',
  'Conv',
  'ConvInputGrad',
  'UpsampleConv',
  'UpsampleConvInputGrad',
  'MaxPoolGrad',
]);
const makesPlanes = (node: Node | undefined) => node !== undefined && MAKERS.has(node.operator);

/** The sum of two feature maps, where both come from operators that may make planes. */
export const addPlanes: PlanesForm<'Add'> = {
  layout: 'planes',
  applies: ({ inputs: [a, b], madeBy, native }) =>
    formatShape(a!.shape) === formatShape(b!.shape) &&
    fitsPlanes(a!.shape, native) &&
    (madeBy?.every(makesPlanes) ?? false),
  build: (g, _, operands) => [
    mapHalves([operands.planes(0), operands.planes(1)], (a, b) => g.add('Add', [a, b])),
  ],
};
