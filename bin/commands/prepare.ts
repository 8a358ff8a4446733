import { REJECTIONS } from '../../src/data/tiling.js';
import { startProgress } from '../../src/progress.js';
import { formatPrepare, prepare as run } from '../../src/tasks/prepare.js';
import { command, parseSize } from '../command.js';

export const prepare = command({
  usage: 'prepare',
  describe: 'Cut scans into tiles for training',
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
      describe: 'folder of the tile store; an interrupted one goes on',
    },
    size: { string: true, default: '128x128x64', describe: 'voxels of a tile, x×y×z, multiples of 8' },
    'z-border': { number: true, default: 0, describe: 'slices to leave out at both ends' },
    'xy-border': { number: true, default: 0, describe: 'voxels to leave out at all sides of a slice' },
    reject: { choices: REJECTIONS, default: 'none' as const, describe: 'tiles to leave out' },
    orientation: {
      choices: ['LPS', 'keep'] as const,
      default: 'LPS' as const,
      describe: 'turn all scans alike, or keep them as stored',
    },
    'val-fraction': { number: true, default: 0.2, describe: 'share of the scans that is for validation' },
    split: { string: true, describe: 'file that says which scan is for what, instead of --val-fraction' },
    seed: { number: true, default: 1, describe: 'of the split' },
    workers: { number: true, describe: 'threads, each with one scan in memory; default cores + 1' },
  },
  examples: [
    ['$0 prepare --input scans --out tiles', 'every scan below a folder'],
    [
      '$0 prepare --input LUNA16/subset0 LUNA16/subset1 --out tiles --z-border 30 --reject air',
      'trimmed, without air',
    ],
  ],
  run: async (args) => {
    const progress = startProgress({ label: 'prepare', total: 1, unit: 'scans' });
    try {
      const summary = await run({
        input: args.input,
        out: args.out,
        size: parseSize(args.size),
        zBorder: args['z-border'],
        xyBorder: args['xy-border'],
        reject: args.reject,
        orientation: args.orientation,
        ...(args.split ? { split: args.split } : { valFraction: args['val-fraction'] }),
        seed: args.seed,
        ...(args.workers ? { workers: args.workers } : {}),
        onProgress: (done, total) => progress.update(done, {}, total),
      });
      // Some broken scans are reported; none that works is a failure.
      return { text: formatPrepare(summary), json: summary, exitCode: summary.scans.length === 0 ? 1 : 0 };
    } finally {
      progress.stop();
    }
  },
});
