import { UserError } from '../../errors.js';
import { asInt16 } from '../../int16.js';
import type { SampleFormat, SampleSplit } from '../samples/manifest.js';
import type { SampleSource } from '../samples/source.js';
import { cropAround, cropImage, middleOf } from '../scan/crop.js';
import { type NamedArray, readNpz } from '../scan/npz.js';
import type { XYZ } from '../scan/volume.js';
import type { Adapter } from './adapter.js';

const SPLITS: readonly (readonly [string, SampleSplit])[] = [
  ['train', 'train'],
  ['val', 'validation'],
  ['test', 'test'],
];

const MOST_CLASSES = 255;

/** Sides that the network can halve three times. */
const roomFor = (length: number) => Math.ceil(length / 8) * 8;

/** @throws UserError when an array is missing, or not of images and their labels */
function arraysOf(path: string, arrays: ReadonlyMap<string, NamedArray>, split: string) {
  const images = arrays.get(`${split}_images`);
  const labels = arrays.get(`${split}_labels`);
  const fits = images?.shape.length === 4 && images.dtype === 'uint8';
  if (fits && labels && labels.data.length === images.shape[0]) return { images, labels };
  throw new UserError('input', {
    what: `this is not a MedMNIST-3D file: the ${split} images or labels are missing or have a different shape`,
    where: path,
    got: [...arrays].map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape.join('×')}`).join(', '),
    expected: `${split}_images uint8 n×d×h×w and ${split}_labels n×1`,
  });
}

/** @throws UserError for labels that are no numbers of classes */
function highestLabel(path: string, { data }: NamedArray): number {
  let highest = 0;
  for (const value of data) {
    const label = Number(value);
    if (!(Number.isInteger(label) && label >= 0 && label < MOST_CLASSES))
      throw new UserError('input', {
        what: 'a label is not a class number',
        where: path,
        got: String(value),
        expected: `integers from 0 to ${MOST_CLASSES - 1}`,
      });
    highest = Math.max(highest, label);
  }
  return highest;
}

/** MedMNIST v2's 3-D sets with their own split: grey values 0 … 255 that become 0 … 1. */
export const medmnistAdapter: Adapter = {
  describe: 'a .npz file of MedMNIST-3D, with its own split',
  takes: ['classes'],
  async open(input, options) {
    const arrays = await readNpz(input);
    const splits = SPLITS.map(([name, split]) => ({ name, split, ...arraysOf(input, arrays, name) }));
    const [, depth, height, width] = splits[0]!.images.shape as [number, number, number, number];
    const stored: XYZ = [width, height, depth];
    const size = options.size ?? (stored.map(roomFor) as unknown as XYZ);
    const count = 1 + Math.max(...splits.map(({ labels }) => highestLabel(input, labels)));
    const classes = options.classes ?? Array.from({ length: count }, (_, i) => String(i));
    if (classes.length < count)
      throw new UserError('input', {
        what: 'the labels have more classes than --classes',
        where: input,
        got: `labels up to ${count - 1}`,
        expected: `at most ${classes.length - 1}: ${classes.join(', ')}`,
      });
    const format: SampleFormat = {
      ...{ task: 'medmnist', kind: 'classification', classes: [...classes], size, channels: 1 },
      ...{ type: 'int16', window: { low: 0, high: 255 } },
    };
    const voxels = width * height * depth;
    const sources = splits.map(
      ({ name, split, images, labels }): SampleSource => ({
        id: name,
        split,
        origin: { files: [input], facts: name },
        read: async () =>
          Array.from({ length: images.shape[0]! }, (_, i) => {
            const values = Int16Array.from(images.data.subarray(i * voxels, (i + 1) * voxels) as Uint8Array);
            const scan = { voxels: values, size: stored, spacing: [1, 1, 1] as const };
            const image = asInt16(cropImage(scan, cropAround(scan, middleOf(scan), size), 0));
            const id = `${name}-${String(i).padStart(5, '0')}`;
            return { id, patient: id, spacing: [1, 1, 1], label: Number(labels.data[i]), image, mask: null };
          }),
      }),
    );
    return { format, sources, problems: [] };
  },
};
