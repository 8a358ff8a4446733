import { startProgress } from '../../src/progress.js';
import { writePhantoms } from '../../src/tasks/phantom.js';
import { command, parseSize } from '../command.js';

export const phantom = command({
  usage: 'phantom',
  describe: 'Write phantom chest CTs with ground truth',
  options: {
    out: { string: true, demandOption: true, describe: 'folder to write into' },
    scans: { number: true, demandOption: true, describe: 'how many' },
    size: { string: true, default: '192x192x96', describe: 'voxels x×y×z' },
    seed: { number: true, default: 1, describe: 'another seed, other patients' },
    format: { choices: ['nii.gz', 'mhd'] as const, default: 'nii.gz' as const, describe: 'file format' },
  },
  examples: [['$0 phantom --out phantoms --scans 20', '20 scans, lung and nodule masks, annotations.csv']],
  run: async (args) => {
    const progress = startProgress({ label: 'phantom', total: args.scans, unit: 'scans' });
    try {
      const result = await writePhantoms({
        out: args.out,
        scans: args.scans,
        size: parseSize(args.size),
        seed: args.seed,
        format: args.format,
        onProgress: (done) => progress.update(done),
      });
      return {
        text: `wrote ${result.scans.length} scans, and their nodules to ${result.annotations}`,
        json: result,
      };
    } finally {
      progress.stop();
    }
  },
});
