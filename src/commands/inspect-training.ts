/** Whether an ONNX model can be trained, and what of it. */
import { examineModel } from '../../graphs/imported/import-model.js';
import {
  type ImportReport,
  type ReportedTensor,
  unexaminedNote,
  usesText,
} from '../../graphs/imported/report.js';
import { givenInputs } from '../../graphs/onnx/given-inputs.js';
import { PRODUCER } from '../../graphs/onnx/model.js';
import { formatShape, GraphError, type Model, sizeOf, type Value } from '../../graphs/onnx/types.js';
import { gigabytes } from '../execution/memory.js';
import { openTrainedFile } from '../train/imported.js';

type Sizes = Readonly<Record<string, readonly number[]>>;

/** Lengths that are tried, one after the other, for axes that the file leaves open. */
const LENGTHS = [32, 64, 224, 96, 16] as const;

/** Above so many bytes in other files a model is only read when sizes are asked for. */
const MOST_BESIDE = 2 ** 30;

/** Sizes that a model of our own says it was trained on, in the order of its axes. */
const ownSizes = ({ sample_size, tile_size }: Model['metadata']): readonly number[] =>
  (sample_size ?? tile_size ?? '').split('x').map(Number).toReversed();

/** Sizes to try for the inputs of a model: those that are given, one image, and a length along all other open axes. */
function triedSizes(inputs: readonly Value[], { metadata }: Model, given: Sizes, length: number): Sizes {
  const own = ownSizes(metadata);
  const sizeAt = (shape: Value['shape'], axis: number): number => {
    const size = shape[axis]!;
    if (typeof size === 'number') return size;
    if (axis === 0 || (axis === 1 && shape.length === 5)) return 1;
    return own.length === 3 ? (own[axis - (shape.length - 3)] ?? 1) : length;
  };
  const tried = inputs
    .filter(({ isUnranked }) => !isUnranked)
    .map(({ name, shape }) => [name, shape.map((_, axis) => sizeAt(shape, axis))] as const);
  return { ...Object.fromEntries(tried), ...given };
}

/** A report, and for which sizes it was made. */
interface Examined {
  readonly report: ImportReport;
  readonly sizes: Sizes;
}

/** The report of the first sizes for which nothing is missing; else of the first that the model takes, or why it takes none. */
function examined(path: string, model: Model, given: Sizes): Examined | GraphError {
  const { graph } = model;
  const { bytes, externalData } = openTrainedFile(path);
  const inputs = givenInputs(graph);
  const all = LENGTHS.map((length) => triedSizes(inputs, model, given, length));
  const tried = new Map(all.map((sizes) => [JSON.stringify(sizes), sizes]));
  let found: Examined | undefined;
  let refused: GraphError | undefined;
  for (const sizes of tried.values())
    try {
      const report = examineModel(bytes, { inputs: sizes, externalData });
      if (report.unsupported.length === 0) return { report, sizes };
      found ??= { report, sizes };
    } catch (error) {
      if (!(error instanceof GraphError)) throw error;
      refused ??= error;
    }
  return found ?? refused!;
}

const named = (tensors: readonly ReportedTensor[]): Record<string, string> =>
  Object.fromEntries(
    tensors.map(({ name, shape, operator }) => [name, `${formatShape(shape)}, ${operator}`]),
  );

const given = <T>(list: readonly T[], name: string, facts: (list: readonly T[]) => unknown) =>
  list.length > 0 ? { [name]: facts(list) } : {};

/**
 * What training would make of a model: what is trained, what was split or folded, and everything that is missing.
 * @param sizes of inputs that the file leaves open; some are tried without them
 * @throws UserError when files beside the model are not as it says, or an input has no such sizes
 */
export function trainingFacts(path: string, model: Model, sizes: Sizes = {}): Record<string, unknown> {
  const beside = (model.external ?? []).reduce((sum, { location }) => sum + location.length, 0);
  if (beside > MOST_BESIDE && Object.keys(sizes).length === 0)
    return {
      canBeTrained: 'not examined',
      why: `${gigabytes(beside)} lie in other files, and would have to be read: name the sizes of its inputs with --input-size`,
    };
  const found = examined(path, model, sizes);
  if (found instanceof GraphError) return { canBeTrained: 'no', why: found.message };
  const { report } = found;
  const { trained, constants, buffers, split, shared, folded, warnings, unsupported, unexamined } = report;
  const values = trained.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const isOurs = model.producer.name === PRODUCER.name;
  const notes = [
    ...warnings,
    ...(isOurs
      ? [
          'batch normalisation is folded into the convolutions of this export: to go on with it, start from the run or weights.safetensors',
        ]
      : []),
  ];
  const canBeTrained = unsupported.length === 0 && trained.length > 0;
  return {
    canBeTrained: canBeTrained ? 'yes' : 'no',
    checkedFor: Object.fromEntries(Object.entries(found.sizes).map(([name, s]) => [name, formatShape(s)])),
    ...given(unsupported, 'missing', (list) =>
      Object.fromEntries(list.map((uses, i) => [`${i + 1}. ${usesText(uses)}`, uses.reason])),
    ),
    ...(unexamined > 0 ? { notExamined: unexaminedNote(unexamined) } : {}),
    ...(trained.length === 0 ? { why: 'no tensor in it is a weight of a layer' } : {}),
    trainedValues: values,
    ...given(trained, 'trained', named),
    ...given(constants, 'notTrained', named),
    ...given(buffers, 'runningStatistics', named),
    ...given(split, 'splitAgain', (list) =>
      Object.fromEntries(list.map(({ source, uses }) => [source, `${uses} weights`])),
    ),
    ...given(shared, 'shared', (list) =>
      Object.fromEntries(list.map(({ source, uses }) => [source, `used ${uses} times`])),
    ),
    ...given(folded, 'foldedBatchNormalisation', (list) => list),
    ...given(notes, 'notes', (list) => Object.fromEntries(list.map((note, i) => [`${i + 1}`, note]))),
  };
}
