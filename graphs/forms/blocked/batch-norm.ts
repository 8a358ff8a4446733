import { sizeOf, type Value } from '../../onnx/types.js';
import type { BlockedForm } from '../form.js';
import { coefficients, inverseDeviation } from '../reference/batch-norm.js';
import { depthwise, perChannel, STEEP, sameKernel } from './nchwc.js';
import { channelSums, fitsSlicePairs, mapHalves } from './slice-pairs.js';

/** On slice pairs every affine map of a channel, with its ReLU, is one depthwise 1×1 convolution: one pass over memory. */
export const batchNormBlocked: BlockedForm<'BatchNorm'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x], blocked }) => fitsSlicePairs(x!.shape, blocked),
  build(g, { attributes: { epsilon, relu }, blocked }, operands) {
    const x = operands.slicePairs(0);
    const [scale, bias] = [operands.plain(1), operands.plain(2)];
    const channels = x.shape[1];
    const perCount = g.scalar(channels / sizeOf(x.shape));
    const mean = g.add('Mul', [channelSums(g, [x])[0]!, perCount]);
    const shift = g.add('Neg', [mean]);
    const one = sameKernel(g, channels, blocked!.block, [[1]]);
    const centred = mapHalves([x], (half) => depthwise(g, half, one, { bias: shift }));
    const squares = mapHalves([centred], (half) => g.add('Mul', [half, half]));
    const variance = g.add('Mul', [channelSums(g, [squares])[0]!, perCount]);
    const slope = perChannel(g, g.add('Mul', [scale, inverseDeviation(g, variance, epsilon)]));
    const y = mapHalves([centred], (half) =>
      depthwise(g, half, slope, { bias, ...(relu ? { activation: 'Relu' } : {}) }),
    );
    return [y, mean, variance, centred];
  },
};

export const channelAffineBlocked: BlockedForm<'ChannelAffine'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x], blocked }) => fitsSlicePairs(x!.shape, blocked),
  build(g, { attributes: { relu } }, operands) {
    const [slope, bias] = [perChannel(g, operands.plain(1)), operands.plain(2)];
    const options = { bias, ...(relu ? { activation: 'Relu' as const } : {}) };
    return [mapHalves([operands.slicePairs(0)], (half) => depthwise(g, half, slope, options))];
  },
};

export const batchNormGradBlocked: BlockedForm<'BatchNormGrad'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [dy], blocked }) => fitsSlicePairs(dy!.shape, blocked),
  build(g, { attributes: { epsilon, relu }, blocked }, operands) {
    const [given, y, x] = [operands.slicePairs(0), operands.slicePairs(1), operands.slicePairs(2)];
    const channels = x.shape[1];
    const steep = sameKernel(g, channels, blocked!.block, [[STEEP]]);
    const masked = (half: Value, output: Value) =>
      g.add('Mul', [half, depthwise(g, output, steep, { activation: 'Clip' })]);
    const dy = relu ? mapHalves([given, y], masked) : given;
    const products = mapHalves([dy, x], (a, b) => g.add('Mul', [a, b]));
    const [dbias, moment] = channelSums(g, [dy, products]) as [Value, Value];
    const [scale, variance] = [operands.plain(3), operands.plain(4)];
    const c = coefficients(g, { scale, variance, dbias, moment }, epsilon, sizeOf(x.shape) / channels);
    const [direct, indirect] = [perChannel(g, c.direct), perChannel(g, c.indirect)];
    const dx = mapHalves([dy, x], (gradient, centred) =>
      depthwise(g, gradient, direct, { sum: depthwise(g, centred, indirect, { bias: c.constant }) }),
    );
    return [dx, c.dscale, dbias];
  },
};

export const channelSumBlocked: BlockedForm<'ChannelSum'> = {
  layout: 'slicePairs',
  applies: ({ inputs: [x], blocked }) => fitsSlicePairs(x!.shape, blocked),
  build: (g, _, operands) => channelSums(g, [operands.slicePairs(0)]),
};
