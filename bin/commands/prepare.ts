import { formatPrepare, prepare as prepareTiles } from '../../src/commands/prepare.js';
import { formatPrepareSamples, prepareSamples } from '../../src/commands/prepare-samples.js';
import { TASK_NAMES } from '../../src/data/adapters/index.js';
import { NORMALISATIONS } from '../../src/data/scan/normalise.js';
import { REJECTIONS } from '../../src/data/store/tiling.js';
import { UserError } from '../../src/errors.js';
import {
  command,
  type Output,
  parseNames,
  parsePairs,
  parseSize,
  parseTriple,
  taskOption,
} from '../command.js';

const tileOptions = {
  'z-border': { number: true, default: 0, describe: 'slices to leave out at both ends' },
  'xy-border': { number: true, default: 0, describe: 'voxels to leave out at all sides of a slice' },
  reject: { choices: REJECTIONS, default: 'none' as const, describe: 'tiles to leave out' },
  orientation: {
    choices: ['LPS', 'keep'] as const,
    default: 'LPS' as const,
    describe: 'turn all scans alike, or keep them as stored',
  },
  normalise: {
    choices: NORMALISATIONS,
    describe: 'hu for CT (default), minmax or zscore of each scan for anything else',
  },
  split: { string: true, describe: 'file that says which scan is for what, instead of --val-fraction' },
  workers: { number: true, describe: 'threads, each with one scan in memory; default cores + 1' },
} as const;

const taskOptions = {
  task: taskOption(TASK_NAMES, 'make labelled samples of a target task instead of tiles'),
  spacing: {
    string: true,
    describe: 'with --task: mm between voxels, such as 1x1x1; the scans’ own without it',
  },
  classes: {
    string: true,
    describe: 'with --task: names of the classes, in the order of their numbers: benign,malignant',
  },
  column: {
    string: true,
    array: true,
    default: [] as string[],
    describe:
      'with --task manifest: where a table says what: image=folder/{file}, label={diagnosis}, patient={id}',
  },
  negatives: {
    string: true,
    describe: 'with --task ncc: candidates to keep for training for each nodule, or all; default 50',
  },
  'test-fraction': {
    number: true,
    default: 0.25,
    describe: 'with --task: share of the patients that is for testing',
  },
} as const;

/** A whole number, or `all`. @throws UserError */
function parseNegatives(text: string): number {
  const count = text === 'all' ? Number.POSITIVE_INFINITY : Number(text);
  if (count === Number.POSITIVE_INFINITY || (Number.isSafeInteger(count) && count > 0)) return count;
  throw new UserError('usage', {
    what: 'this is a whole number from 1 on, or all',
    where: '--negatives',
    got: text,
  });
}

export default command({
  options: {
    input: {
      string: true,
      array: true,
      demandOption: true,
      describe: 'scans and folders: .mhd .mha .nii .nii.gz .hdr .npy',
    },
    out: {
      string: true,
      demandOption: true,
      describe: 'folder of the store; an interrupted one goes on',
    },
    size: {
      string: true,
      describe: 'voxels of a tile or sample, x×y×z, multiples of 8; default 128x128x64, with --task 64x64x32',
    },
    ...tileOptions,
    'val-fraction': {
      number: true,
      default: 0.2,
      describe: 'share that is for validation: of the scans, or patients',
    },
    seed: { number: true, default: 1, describe: 'of the split, and of what --negatives draws' },
    ...taskOptions,
  },
  examples: [
    ['$0 prepare --input scans --out tiles', 'every scan below a folder'],
    [
      '$0 prepare --input LUNA16/subset0 LUNA16/subset1 --out tiles --z-border 30 --reject air',
      'trimmed, without air',
    ],
    ['$0 prepare --task manifest --input table.csv --out samples', 'images with labels or masks'],
    ['$0 prepare --task medmnist --input adrenalmnist3d.npz --out samples', 'a set of MedMNIST-3D'],
  ],
  run: async (args, reporter): Promise<Output> => {
    const common = {
      out: args.out,
      valFraction: args['val-fraction'],
      seed: args.seed,
      ...(args.size ? { size: parseSize(args.size) } : {}),
      reporter,
    };
    if (args.task !== undefined) {
      const [input, ...more] = args.input;
      if (more.length > 0)
        throw new UserError('usage', {
          what: 'a task has one file or folder',
          where: '--input',
          got: args.input.join(' '),
        });
      const summary = await prepareSamples({
        ...common,
        task: args.task,
        input: input!,
        testFraction: args['test-fraction'],
        ...(args.spacing ? { spacing: parseTriple('--spacing', args.spacing) } : {}),
        ...(args.normalise ? { normalise: args.normalise } : {}),
        ...(args.classes ? { classes: parseNames(args.classes) } : {}),
        ...(args.negatives ? { negatives: parseNegatives(args.negatives) } : {}),
        columns: parsePairs('--column', args.column),
      });
      const samples = Object.values(summary.splits).reduce((sum, split) => sum + split.samples, 0);
      return { text: formatPrepareSamples(summary), json: summary, exitCode: samples === 0 ? 1 : 0 };
    }
    const { valFraction, ...shared } = common;
    const summary = await prepareTiles({
      ...shared,
      input: args.input,
      zBorder: args['z-border'],
      xyBorder: args['xy-border'],
      reject: args.reject,
      orientation: args.orientation,
      ...(args.normalise ? { normalise: args.normalise } : {}),
      ...(args.split ? { split: args.split } : { valFraction }),
      ...(args.workers ? { workers: args.workers } : {}),
    });
    // Some broken scans are reported; none that works is a failure.
    return { text: formatPrepare(summary), json: summary, exitCode: summary.scans.length === 0 ? 1 : 0 };
  },
});
