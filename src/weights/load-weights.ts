/** Puts the weights of a file into a network, and says what became of every tensor. */
import type { Parameter } from '../../graphs/nn/module.js';
import { formatShape, sizeOf } from '../../graphs/onnx/types.js';
import { UserError } from '../errors.js';
import { fromGenesisName } from './genesis-names.js';
import type { Weights, WeightTensor } from './weights.js';

/** A part of a network, the first word of its parameters' names. */
export type NetworkPart = 'encoder' | 'decoder' | 'head' | 'classifier';

export interface LoadOptions {
  /** Where the weights are from, for messages. */
  readonly source: string;
  /** What is to be loaded; all else keeps its first values. */
  readonly parts: readonly NetworkPart[];
  /** Our names by the file's, for those that the built-in mapping does not know. */
  readonly names?: Readonly<Record<string, string>>;
  /** Takes what fits, and leaves the rest of the parts as it is. Without it that is an error. */
  readonly partial: boolean;
  /** What the user can do where only some of it fits; for messages. */
  readonly remedy?: string;
}

/** What became of each parameter (by our names) and of each tensor of the file (by its own). */
export interface LoadReport {
  readonly loaded: readonly string[];
  /** Made to fit: a first kernel of one channel, repeated for all channels of the images. */
  readonly adapted: readonly { name: string; from: readonly number[]; to: readonly number[] }[];
  /** Asked for, but not in the file. */
  readonly missing: readonly string[];
  /** In the file, with another shape, or of integers. */
  readonly mismatched: readonly {
    name: string;
    type: string;
    got: readonly number[];
    expected: readonly number[];
  }[];
  /** Parameters of parts that were not asked for. */
  readonly untouched: readonly string[];
  /** In the file, in a part that was asked for or in none that we know, but not in the network. */
  readonly unexpected: readonly string[];
  /** In the file, not asked for: other parts, an optimiser's state, PyTorch's counters of batches. */
  readonly ignored: readonly string[];
}

const FIRST_KERNEL = 'encoder.0.conv1.weight';
const PARTS: readonly string[] = ['encoder', 'decoder', 'head', 'classifier'];
const partOf = (name: string) => name.slice(0, name.indexOf('.'));

/**
 * Our name for a tensor of a file. `module.`, which PyTorch's DataParallel puts before names, falls away; the names
 * of Models Genesis' U-Net are known; any other is taken for ours.
 */
export function ownName(name: string, names: Readonly<Record<string, string>> = {}): string {
  if (Object.hasOwn(names, name)) return names[name]!;
  const bare = name.replace(/^(module\.)+/, '');
  return fromGenesisName(bare) ?? bare;
}

/** The file's tensors by our names. @throws UserError when two have the same */
function renamed(weights: Weights, { names, source }: LoadOptions): Map<string, [string, WeightTensor]> {
  const found = new Map<string, [string, WeightTensor]>();
  for (const [theirs, tensor] of weights) {
    const name = ownName(theirs, names);
    const other = found.get(name);
    if (other)
      throw new UserError('input', {
        what: `two tensors of this file map to the same parameter, ${name}`,
        where: source,
        got: `${other[0]} and ${theirs}`,
        fix: 'name one of them in the mapping',
      });
    found.set(name, [theirs, tensor]);
  }
  return found;
}

/** w [K,1,…] for images of C channels: repeated, and divided by C, so that C equal channels give what one gave. */
function repeatedKernel(data: Float32Array, taps: number, channels: number): Float32Array {
  const kernel = new Float32Array(data.length * channels);
  for (let i = 0; i < kernel.length; i++) {
    const filter = Math.floor(i / (taps * channels));
    kernel[i] = data[filter * taps + (i % taps)]! / channels;
  }
  return kernel;
}

const same = (a: readonly number[], b: readonly number[]) => formatShape(a) === formatShape(b);
const isOneChannelKernel = (name: string, got: readonly number[], expected: readonly number[]) =>
  name === FIRST_KERNEL && got.length === 5 && got[1] === 1 && same(got.with(1, expected[1]!), expected);

/**
 * First values of a network, from a file as far as asked for.
 * @param initial values of every parameter, for what is not loaded; see `initialize`
 * @throws UserError when a part that was asked for is not wholly in the file or not all of the file's part is used,
 *   unless the load may be partial; and when nothing fits at all
 * @example
 * const weights = await readWeights('genesis.npz');
 * const options = { source: 'genesis.npz', parts: ['encoder'], partial: false } as const;
 * const { values, report } = loadWeights(parameters, initial, weights, options);
 */
export function loadWeights(
  parameters: readonly Parameter[],
  initial: ReadonlyMap<string, Float32Array>,
  weights: Weights,
  options: LoadOptions,
): { values: Map<string, Float32Array>; report: LoadReport } {
  const asked = (name: string) => (options.parts as readonly string[]).includes(partOf(name));
  const given = renamed(weights, options);
  const values = new Map(initial);
  const report = {
    loaded: [] as string[],
    adapted: [] as LoadReport['adapted'][number][],
    missing: [] as string[],
    mismatched: [] as LoadReport['mismatched'][number][],
    untouched: [] as string[],
    unexpected: [] as string[],
    ignored: [] as string[],
  };
  for (const { name, shape } of parameters) {
    const tensor = given.get(name)?.[1];
    if (!asked(name)) report.untouched.push(name);
    else if (!tensor) report.missing.push(name);
    else if (tensor.data && same(tensor.shape, shape)) {
      values.set(name, tensor.data);
      report.loaded.push(name);
    } else if (tensor.data && isOneChannelKernel(name, tensor.shape, shape)) {
      values.set(name, repeatedKernel(tensor.data, sizeOf(shape.slice(2)), shape[1]!));
      report.adapted.push({ name, from: tensor.shape, to: shape });
    } else report.mismatched.push({ name, type: tensor.type, got: tensor.shape, expected: shape });
  }
  const known = new Set(parameters.map(({ name }) => name));
  for (const [name, [theirs]] of given) {
    if (known.has(name) && asked(name)) continue;
    const other = PARTS.includes(partOf(name)) && !asked(name);
    const needless = /^optimizer\.|\.num_batches_tracked$/.test(name);
    (other || needless ? report.ignored : report.unexpected).push(theirs);
  }
  const faults = report.missing.length + report.mismatched.length + report.unexpected.length;
  const fitting = report.loaded.length + report.adapted.length;
  if (fitting === 0 || (faults > 0 && !options.partial)) throw misfit(report, fitting, options);
  return { values, report };
}

const listed = (names: readonly string[]): string =>
  names.slice(0, 3).join(', ') + (names.length > 3 ? `, and ${names.length - 3} more` : '');

const shapes = ({ name, type, got, expected }: LoadReport['mismatched'][number]): string =>
  `${name} is ${type} ${formatShape(got)}, not ${formatShape(expected)}`;

/** Counts and first names of all that is not as it should be, a line each. */
function faultLines({ missing, mismatched, unexpected }: LoadReport): string[] {
  return [
    ...(missing.length > 0 ? [`not in the file (${missing.length}): ${listed(missing)}`] : []),
    ...(mismatched.length > 0
      ? [`different shape (${mismatched.length}): ${listed(mismatched.map(shapes))}`]
      : []),
    ...(unexpected.length > 0 ? [`not in the network (${unexpected.length}): ${listed(unexpected)}`] : []),
  ];
}

/** Convolutions behind skip connections, which take more channels than those without. */
const BEHIND_SKIP = /^decoder\.\d+\.conv1\.weight$/;

/** What to change where networks differ in their skip connections. */
function skipRemedy({ mismatched }: LoadReport): string | undefined {
  const [behind] = mismatched;
  const isBehind = ({ name, got, expected }: (typeof mismatched)[number]) =>
    BEHIND_SKIP.test(name) && same(got.toSpliced(1, 1), expected.toSpliced(1, 1));
  if (behind === undefined || !mismatched.every(isBehind)) return undefined;
  const hasSkips = behind.got[1]! > behind.expected[1]!;
  return `these weights are of a network ${hasSkips ? 'with' : 'without'} skip connections: set network.skip=${hasSkips}, or load the encoder only`;
}

function misfit(report: LoadReport, fitting: number, options: LoadOptions): UserError {
  const { source, parts, remedy = 'map the names, load fewer parts, or allow a partial load' } = options;
  return new UserError('input', {
    what:
      fitting === 0 ? 'nothing in this file fits the network' : 'only some of these weights fit the network',
    where: source,
    got: faultLines(report).join('; '),
    expected: `all of ${parts.join(', ')}`,
    fix:
      fitting === 0
        ? 'check the width, levels and up-sampling of the network, or map the names'
        : (skipRemedy(report) ?? remedy),
  });
}

/**
 * The report for people.
 * @example
 * const options = { source: 'genesis.npz', parts: ['encoder'], partial: false } as const;
 * console.log(formatLoad(loadWeights(parameters, initial, weights, options).report));
 */
export function formatLoad(report: LoadReport): string {
  const { loaded, adapted, untouched, ignored } = report;
  return [
    `loaded ${loaded.length + adapted.length} tensors`,
    ...adapted.map(({ name, from, to }) => `adapted ${name} from ${formatShape(from)} to ${formatShape(to)}`),
    ...faultLines(report),
    ...(untouched.length > 0
      ? [`not requested, initial values kept (${untouched.length}): ${listed(untouched)}`]
      : []),
    ...(ignored.length > 0 ? [`in the file, not requested (${ignored.length}): ${listed(ignored)}`] : []),
  ].join('\n');
}
