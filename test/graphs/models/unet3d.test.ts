import { describe, expect, test } from 'vitest';
import { featureChannels, type UNet3dOptions } from '../../../graphs/models/unet3d.js';
import { type ProxyOptions, reconstruction } from '../../../graphs/objectives/reconstruction.js';
import { sizeOf } from '../../../graphs/onnx/types.js';
import { evaluationGraph } from '../../../graphs/programs/evaluation.js';

const norm = { epsilon: 1e-3, momentum: 0.99, evalStatistics: 'running' } as const;
const paper: UNet3dOptions = { width: 32, levels: 3, skip: false, upsampling: 'nearest', norm };
const options = (network: UNet3dOptions, whole = [64, 128, 128] as const): ProxyOptions => ({
  batch: 1,
  tile: whole,
  whole,
  window: { low: -1000, high: 1000 },
  network,
});

const task = (...given: Parameters<typeof options>) => reconstruction(options(...given));

const trainable = (network: UNet3dOptions, prefix = '') =>
  evaluationGraph(task(network))
    .parameters.filter((p) => p.trainable && p.name.startsWith(prefix))
    .reduce((sum, p) => sum + sizeOf(p.shape), 0);

describe('unet3d', () => {
  test.each([
    ['nearest', false, 13_997_825],
    ['nearest', true, 16_320_257],
    ['deconv', true, 19_073_665],
    ['deconv', false, 16_751_233],
  ] as const)(
    'the paper’s network with %s up-sampling, skip %s, has %d parameters',
    (upsampling, skip, count) => {
      expect(trainable({ ...paper, upsampling, skip })).toBe(count);
    },
  );

  test('its encoder has 7,027,776 parameters and 512 feature channels', () => {
    expect(trainable(paper, 'encoder.')).toBe(7_027_776);
    expect(featureChannels(paper)).toBe(512);
  });

  test('feature maps have the sizes of the method’s table', () => {
    const { graph } = evaluationGraph(task(paper));
    const shape = (name: string) => graph.values.get(name)!.shape;
    expect(shape('part')).toEqual([1, 1, 64, 128, 128]);
    expect(shape('encoder.3.2/ChannelAffine')).toEqual([1, 512, 8, 16, 16]);
    expect(shape('decoder.2.1/UpsampleConv')).toEqual([1, 256, 16, 32, 32]);
    expect(shape('decoder.0.2/ChannelAffine')).toEqual([1, 64, 64, 128, 128]);
    expect(shape('reconstruction')).toEqual([1, 1, 64, 128, 128]);
    expect(shape('features')).toEqual([1, 512]);
  });

  test('sizes that the poolings do not divide are refused', () => {
    expect(() => evaluationGraph(task(paper, [20, 64, 64] as never))).toThrow(
      /3 poolings need sizes that are multiples of 8, got \[1,1,20,64,64\]/,
    );
  });

  test('parameter names are unique, dotted and stable', () => {
    const names = evaluationGraph(task({ ...paper, skip: true, upsampling: 'deconv' })).parameters.map(
      (p) => p.name,
    );
    expect(new Set(names).size).toBe(names.length);
    expect(names.slice(0, 7)).toEqual([
      'encoder.0.conv1.weight',
      'encoder.0.conv1.bias',
      'encoder.0.norm1.weight',
      'encoder.0.norm1.bias',
      'encoder.0.norm1.running_mean',
      'encoder.0.norm1.running_var',
      'encoder.0.conv2.weight',
    ]);
    expect(names).toContain('decoder.2.up.weight');
    expect(names.at(-1)).toBe('head.bias');
  });
});
