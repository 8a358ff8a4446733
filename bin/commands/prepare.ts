import {
  formatPrepare,
  prepareShard,
  prepare as prepareTiles,
  VAL_FRACTION,
} from '../../src/commands/prepare.js';
import {
  formatPrepareSamples,
  prepareSamples,
  prepareSamplesShard,
  TEST_FRACTION,
} from '../../src/commands/prepare-samples.js';
import { prepareUnlabelled } from '../../src/commands/prepare-unlabelled.js';
import { TASK_NAMES } from '../../src/data/adapters/index.js';
import { isSampleStore } from '../../src/data/samples/manifest.js';
import { NORMALISATIONS } from '../../src/data/scan/normalise.js';
import { REJECTIONS } from '../../src/data/store/tiling.js';
import { UserError } from '../../src/errors.js';
import { command, type Output, shardOutput } from '../command.js';
import { keepUidsOption, shardOption, taskOption } from '../options.js';
import { parseNames, parsePairs, parseSize, parseTriple } from '../values.js';

const tileOptions = {
  'z-border': { number: true, default: 0, describe: 'slices to skip at both ends' },
  'xy-border': { number: true, default: 0, describe: 'voxels to skip on all sides of a slice' },
  reject: { choices: REJECTIONS, default: 'none' as const, describe: 'tiles to skip' },
  normalise: {
    choices: NORMALISATIONS,
    describe: 'hu for CT (default); minmax or zscore, per scan, for other modalities',
  },
  split: { string: true, describe: 'file that assigns each scan to a split, instead of --val-fraction' },
  workers: { number: true, describe: 'threads, each with one scan in memory; default: cores + 1' },
} as const;

const taskOptions = {
  task: taskOption(TASK_NAMES, 'make labelled samples for a target task instead of tiles'),
  spacing: {
    string: true,
    describe: 'with --task: voxel spacing in mm, for example 1x1x1; by default the scans’ own',
  },
  classes: {
    string: true,
    describe: 'with --task: class names in numerical order, for example benign,malignant',
  },
  column: {
    string: true,
    array: true,
    default: [] as string[],
    describe:
      'with --task manifest: how to read a table that has other columns: image=folder/{file}, label={diagnosis}, and mask, patient, split, id',
  },
  negatives: {
    string: true,
    describe: 'with --task ncc: non-nodule candidates to keep per nodule for training, or all; default 50',
  },
  'test-fraction': {
    number: true,
    default: TEST_FRACTION,
    describe: 'with --task: fraction of the patients to use for testing',
  },
} as const;

/** Where columns are found, by their names in whatever case. @throws UserError when one is not written so */
const parseColumns = (texts: readonly string[]): Record<string, string> =>
  parsePairs(
    '--column',
    texts.map((text) => text.replace(/^[^=]*/, (name) => name.toLowerCase())),
  );

/** A positive integer, or `all`. @throws UserError */
function parseNegatives(text: string): number {
  const count = text === 'all' ? Number.POSITIVE_INFINITY : Number(text);
  if (count === Number.POSITIVE_INFINITY || (Number.isSafeInteger(count) && count > 0)) return count;
  throw new UserError('usage', {
    what: 'this must be a positive integer, or all',
    where: '--negatives',
    got: text,
  });
}

const OPTIONAL = { ...tileOptions, ...taskOptions };
type Optional = keyof typeof OPTIONAL;
const TILES_ONLY = ['z-border', 'xy-border', 'reject', 'split', 'workers'] as const;
const TASKS_ONLY = ['spacing', 'classes', 'column', 'negatives', 'test-fraction'] as const;

/** @throws UserError naming the options that were given and have no effect on what is prepared */
function refuseUnused(
  args: Readonly<Partial<Record<Optional | 'shard', unknown>>>,
  names: readonly (Optional | 'shard')[],
  { what, fix }: { readonly what: string; readonly fix: string },
): void {
  const given = names.filter((name) => {
    const option = name === 'shard' ? {} : OPTIONAL[name];
    const usual = 'default' in option ? option.default : undefined;
    return JSON.stringify(args[name]) !== JSON.stringify(usual);
  });
  if (given.length === 0) return;
  throw new UserError('usage', { what, where: given.map((name) => `--${name}`).join(', '), fix });
}

export default command({
  options: {
    input: {
      string: true,
      array: true,
      demandOption: true,
      describe:
        'scans and folders: DICOM, .nii .nii.gz .hdr .mhd .mha .nrrd .nhdr .npy; or a store of samples, to pre-train on its training images',
    },
    out: {
      string: true,
      demandOption: true,
      describe: 'folder for the tiles or samples; run again to continue an interrupted command',
    },
    size: {
      string: true,
      describe:
        'size in voxels, x×y×z: of a tile, multiples of 8, default 128x128x64; with --task of a sample, default 64x64x32 (ecc 64x64x64, medmnist its own)',
    },
    ...tileOptions,
    'val-fraction': {
      number: true,
      default: VAL_FRACTION,
      describe: 'fraction of the scans, or with --task of the patients, to use for validation',
    },
    seed: { number: true, default: 1, describe: 'seed of the split and of the draw by --negatives' },
    'keep-uids': keepUidsOption,
    shard: shardOption,
    ...taskOptions,
  },
  examples: [
    ['$0 prepare --input scans --out tiles', 'all scans in a folder and below it'],
    [
      '$0 prepare --input LUNA16/subset0 LUNA16/subset1 --out tiles --z-border 30 --reject air',
      'cropped, without air',
    ],
    ['$0 prepare --task manifest --input table.csv --out samples', 'images with labels or masks'],
    ['$0 prepare --task medmnist --input adrenalmnist3d.npz --out samples', 'a data set of MedMNIST-3D'],
  ],
  run: async (args, reporter): Promise<Output> => {
    const common = {
      out: args.out,
      valFraction: args['val-fraction'],
      seed: args.seed,
      keepUids: args['keep-uids'],
      ...(args.size ? { size: parseSize(args.size) } : {}),
      reporter,
    };
    if (args.task !== undefined) {
      refuseUnused(args, TILES_ONLY, {
        what: 'this is for tiles, not for samples of a task',
        fix: 'leave it out; a table says in its column `split` what its samples are for',
      });
      const [input, ...more] = args.input;
      if (more.length > 0)
        throw new UserError('usage', {
          what: 'a task takes one file or folder',
          where: '--input',
          got: args.input.join(' '),
        });
      const options = {
        ...common,
        task: args.task,
        input: input!,
        testFraction: args['test-fraction'],
        ...(args.spacing ? { spacing: parseTriple('--spacing', args.spacing) } : {}),
        ...(args.normalise ? { normalise: args.normalise } : {}),
        ...(args.classes ? { classes: parseNames(args.classes) } : {}),
        ...(args.negatives ? { negatives: parseNegatives(args.negatives) } : {}),
        columns: parseColumns(args.column),
      };
      if (args.shard) {
        const part = await prepareSamplesShard(options, args.shard);
        return shardOutput(args.shard, part.scans, part);
      }
      const summary = await prepareSamples(options);
      const samples = Object.values(summary.splits).reduce((sum, split) => sum + split.samples, 0);
      return { text: formatPrepareSamples(summary), json: summary, exitCode: samples === 0 ? 1 : 0 };
    }
    const { valFraction, ...shared } = common;
    const [input] = args.input;
    if (args.input.length === 1 && isSampleStore(input!)) {
      refuseUnused(args, [...TILES_ONLY, ...TASKS_ONLY, 'normalise', 'shard'], {
        what: 'samples are taken as they are',
        fix: 'leave it out; --size, --val-fraction and --seed are what can be chosen',
      });
      const summary = await prepareUnlabelled({ ...shared, input: input!, valFraction });
      return { text: formatPrepare(summary), json: summary };
    }
    refuseUnused(args, TASKS_ONLY, {
      what: 'this is for samples of a task, not for tiles',
      fix: 'leave it out, or add --task',
    });
    const options = {
      ...shared,
      input: args.input,
      zBorder: args['z-border'],
      xyBorder: args['xy-border'],
      reject: args.reject,
      ...(args.normalise ? { normalise: args.normalise } : {}),
      ...(args.split ? { split: args.split } : { valFraction }),
      ...(args.workers ? { workers: args.workers } : {}),
    };
    if (args.shard) {
      const part = await prepareShard(options, args.shard);
      return shardOutput(args.shard, part.scans, part);
    }
    const summary = await prepareTiles(options);
    // Some broken scans are reported; none that works is a failure.
    return { text: formatPrepare(summary), json: summary, exitCode: summary.scans.length === 0 ? 1 : 0 };
  },
});
