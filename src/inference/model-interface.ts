/** How models take images and what they give: those of our own, and those that were made elsewhere and say it in their metadata. */
import { givenInputs } from '../../graphs/onnx/given-inputs.js';
import {
  formatShape,
  type Graph,
  type Model,
  type Shape,
  sizeOf,
  type Value,
} from '../../graphs/onnx/types.js';
import { UserError } from '../errors.js';
import { asInt16 } from '../int16.js';
import type { EngineTensor, Session, Tensors } from '../runtime/engine.js';
import { adaptedVoxels } from './image-adapter.js';
import { probabilitiesOf, type StoredAdapter, storedAdapter } from './stored-adapter.js';

export const EXPECTED_MODEL = 'a model written by `p2w export`';

/** What a model is for, by its outputs. */
export type ModelKind = 'encoder' | 'autoencoder' | 'classifier' | 'segmenter';

/** How a model takes images and gives results. */
export interface ModelInterface {
  readonly kind: ModelKind;
  /** The input of the file. */
  readonly image: Value;
  /** Of images [N,C,D,H,W]; null for images [N,D,H,W]. */
  readonly channels: number | null;
  /** Of a batch of images. */
  readonly shape: Shape;
  readonly input: { readonly name: string; readonly type: 'float32' | 'int16' };
  readonly outputs: ReadonlyMap<string, Shape>;
  /** Runs a batch. @param sessionFor gives a session for an input of some shape */
  run(
    sessionFor: (shape: readonly number[]) => Promise<Session>,
    values: Float32Array | Int16Array,
    shape: readonly number[],
  ): Promise<Tensors>;
}

/** The input of images: HU, or where they were normalised before, other values. */
const imageOf = ({ inputs }: Graph) => inputs.find(({ name }) => name === 'hu' || name === 'image');

function kindOf({ outputs }: Graph): ModelKind | null {
  const rankOf = (name: string) => outputs.find((output) => output.name === name)?.shape.length;
  if (rankOf('reconstruction') !== undefined) return 'autoencoder';
  if (rankOf('probabilities') === 5) return 'segmenter';
  if (rankOf('probabilities') === 2) return 'classifier';
  return rankOf('features') === undefined ? null : 'encoder';
}

/** Of a model of our own. @throws UserError when it takes no images, or gives nothing that is known */
function ownInterface(path: string, graph: Graph): ModelInterface {
  const image = imageOf(graph);
  const kind = kindOf(graph);
  if (!image || kind === null || (image.shape.length !== 4 && image.shape.length !== 5))
    throw new UserError('input', {
      what: 'there is no input "hu" or "image" with an output "features", "reconstruction" or "probabilities"',
      where: path,
      got: `inputs ${valuesOf(graph.inputs)}, outputs ${valuesOf(graph.outputs)}`,
      expected: EXPECTED_MODEL,
    });
  const { name, shape: sizes } = image;
  const type = image.type === 'int16' ? 'int16' : 'float32';
  return {
    kind,
    image,
    channels: sizes.length === 5 ? Number(sizes[1]) : null,
    shape: sizes,
    input: { name, type },
    outputs: new Map(graph.outputs.map((output) => [output.name, output.shape])),
    run: async (sessionFor, values, shape) => {
      const session = await sessionFor(shape);
      const data = type === 'int16' ? asInt16(values) : new Float32Array(values);
      return session.run({ [name]: { type, shape, data } });
    },
  };
}

/** Depth, height and width of images as a model takes them; of slices, the depth is 1. */
const positionsOf = (shape: Shape, axes: string): Shape =>
  ['D', 'H', 'W'].map((axis) => {
    const at = axes.indexOf(axis);
    const size = at < 0 ? 1 : shape[at]!;
    return typeof size === 'number' ? size : axis;
  });

/** Of a model that was made elsewhere: it is given images [N,C,D,H,W] of samples, and gives `probabilities`. */
function adaptedInterface(path: string, graph: Graph, adapter: StoredAdapter): ModelInterface {
  const { kind, classes, channels, repeat, axes } = adapter;
  const { outputs } = graph;
  const inputs = givenInputs(graph);
  const [image] = inputs;
  if (image?.shape.length !== axes.length || !outputs.some(({ name }) => name === adapter.output))
    throw new UserError('input', {
      what: 'the model does not have the input and output that its metadata name',
      where: path,
      got: `inputs ${valuesOf(inputs)}, outputs ${valuesOf(outputs)}`,
      expected: `an input [${[...axes].join(',')}], and an output ${adapter.output}`,
    });
  const type = image.type === 'int16' ? 'int16' : 'float32';
  const given = { ...adapter, type } as const;
  const isClassifier = kind === 'classification';
  const sizes = isClassifier ? [] : ['D', 'H', 'W'];
  return {
    kind: isClassifier ? 'classifier' : 'segmenter',
    image,
    channels,
    shape: ['N', channels, ...positionsOf(image.shape, axes)],
    input: { name: 'image', type: 'float32' },
    outputs: new Map([['probabilities', ['N', classes, ...sizes]]]),
    run: async (sessionFor, values, [count, , d, h, w]) => {
      const batch = typeof image.shape[0] === 'number' ? image.shape[0] : count!;
      const lengths = { N: batch, C: channels * repeat, D: d!, H: h!, W: w! };
      const shape = [...axes].map((axis) => lengths[axis as keyof typeof lengths]);
      const session = await sessionFor(shape);
      const voxels = values.length / count!;
      const positions = isClassifier ? [] : [d!, h!, w!];
      const each = sizeOf([classes, ...positions]);
      const data = new Float32Array(count! * each);
      // What does not fill the batch of a model that has a fixed one is zeros.
      for (let first = 0; first < count!; first += batch) {
        const part = new Float32Array(batch * voxels);
        part.set(values.subarray(first * voxels, (first + batch) * voxels));
        const fed: EngineTensor = { type, shape, data: adaptedVoxels(part, given, batch) };
        const out = await session.run({ [image.name]: fed });
        const found = probabilitiesOf(out[adapter.output]!, adapter);
        data.set(found.subarray(0, data.length - first * each), first * each);
      }
      return { probabilities: { type: 'float32', shape: [count!, classes, ...positions], data } };
    },
  };
}

/** @throws UserError when the model takes no images, or gives nothing that is known */
export function interfaceOf(path: string, { graph, metadata }: Model): ModelInterface {
  const adapter = storedAdapter(metadata, path);
  return adapter ? adaptedInterface(path, graph, adapter) : ownInterface(path, graph);
}

const valuesOf = (values: readonly Value[]) =>
  values.map(({ name, shape }) => `${name} ${formatShape(shape)}`).join(', ') || 'none';
