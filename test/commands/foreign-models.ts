/** ONNX models as other tools write them. */
import { toBfloat16, toFloat16 } from '../../graphs/onnx/float16.js';
import { decodeModel, encodeModel } from '../../graphs/onnx/schema.js';
import type { Attribute, Node, Shape, Tensor } from '../../graphs/onnx/types.js';
import { randomStream } from '../../src/random.js';

const ints = (...value: number[]): Attribute => ({ kind: 'ints', value });

const INTO = { float32: (values: Float32Array) => values, float16: toFloat16, bfloat16: toBfloat16 } as const;

/** Options of {@link convolutionalNetwork}. */
export interface NetworkOptions {
  readonly classes: number;
  readonly channels?: number;
  readonly batch?: number | string;
  /** Behind the last layer. */
  readonly activation?: 'Softmax';
  /** Of weights, input and output. */
  readonly type?: keyof typeof INTO;
  /** Keeps the kernels in this file beside the model, as {@link besideOf} gives it. */
  readonly beside?: string;
}

/**
 * A classifier as PyTorch exports it, in version 17 of the standard: `scan` [N,channels,D,H,W] → convolution, BatchNormalization, ReLU,
 * Dropout, convolution, ReLU → average → `logits` [N,classes].
 */
export function convolutionalNetwork({
  classes,
  channels = 1,
  batch = 'N',
  activation,
  type = 'float32',
  beside,
}: NetworkOptions): Uint8Array {
  const random = randomStream(1, 'foreign');
  const tensor = (shape: readonly number[], value?: number): Tensor => {
    const length = shape.reduce((a, b) => a * b, 1);
    const limit = 1 / Math.sqrt(length / shape[0]! || 1);
    const data = Float32Array.from({ length }, () => value ?? random.between(-limit, limit));
    return { type, shape, data: INTO[type](data) };
  };
  const initializers = new Map<string, Tensor>([
    ['stem.weight', tensor([4, channels, 3, 3, 3])],
    ['norm.weight', tensor([4], 1)],
    ['norm.bias', tensor([4], 0.1)],
    ['norm.mean', tensor([4], 0)],
    ['norm.variance', tensor([4], 1)],
    ['ratio', tensor([], 0.2)],
    ['layer1.weight', tensor([6, 4, 3, 3, 3])],
    ['layer1.bias', tensor([6], 0)],
    ['fc.weight', tensor([classes, 6])],
    ['fc.bias', tensor([classes], 0)],
  ]);
  const node = (
    operator: string,
    inputs: string[],
    output: string,
    attributes: Node['attributes'] = {},
  ): Node => ({
    name: `/${output}`,
    operator,
    domain: '',
    inputs,
    outputs: [output],
    attributes,
  });
  const same = { kernel_shape: ints(3, 3, 3), pads: ints(1, 1, 1, 1, 1, 1), strides: ints(2, 2, 2) };
  const shape: Shape = [batch, channels, 'D', 'H', 'W'];
  const output = activation ? 'probabilities' : 'logits';
  const external = beside === undefined ? undefined : placesOf(initializers, beside);
  return encodeModel(
    {
      irVersion: 8,
      opsets: { '': 17 },
      producer: { name: 'pytorch', version: '2.9' },
      documentation: '',
      metadata: { author: 'somebody' },
      graph: {
        name: 'main_graph',
        inputs: [{ name: 'scan', type, shape }],
        outputs: [{ name: output, type, shape: [batch, classes] }],
        initializers,
        values: new Map(),
        nodes: [
          node('Conv', ['scan', 'stem.weight'], 'stem', same),
          node(
            'BatchNormalization',
            ['stem', 'norm.weight', 'norm.bias', 'norm.mean', 'norm.variance'],
            'norm',
            { epsilon: { kind: 'float', value: 1e-5 } },
          ),
          node('Relu', ['norm'], 'relu'),
          node('Dropout', ['relu', 'ratio'], 'dropped'),
          node('Conv', ['dropped', 'layer1.weight', 'layer1.bias'], 'layer1', same),
          node('Relu', ['layer1'], 'relu1'),
          node('GlobalAveragePool', ['relu1'], 'pooled'),
          node('Flatten', ['pooled'], 'flat', { axis: { kind: 'int', value: 1 } }),
          node('Gemm', ['flat', 'fc.weight', 'fc.bias'], 'logits', { transB: { kind: 'int', value: 1 } }),
          ...(activation ? [node(activation, ['logits'], output, { axis: { kind: 'int', value: 1 } })] : []),
        ],
      },
    },
    external,
  );
}

const isBeside = ({ shape }: Tensor) => shape.length > 1;

/** Where the kernels of a network are in the file beside it. */
function placesOf(tensors: ReadonlyMap<string, Tensor>, file: string) {
  let offset = 0;
  const places = [...tensors]
    .filter(([, tensor]) => isBeside(tensor))
    .map(([name, { data }]) => {
      const place = { file, offset, length: data.byteLength };
      offset += data.byteLength;
      return [name, place] as const;
    });
  return new Map(places);
}

/** The file beside a network. @param model the same network in one file */
export function besideOf(model: Uint8Array): Uint8Array {
  const tensors = [...decodeModel(model).graph.initializers.values()].filter(isBeside);
  return Buffer.concat(tensors.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)));
}
