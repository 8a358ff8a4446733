import { PHANTOM_SIZE, writePhantoms } from '../../src/commands/phantom.js';
import { PHANTOM_TASKS, writeTaskPhantoms } from '../../src/commands/phantom-task.js';
import { refuseIdle } from '../../src/errors.js';
import { shellWord } from '../../src/shell.js';
import { command } from '../command.js';
import { taskOption } from '../options.js';
import { parseSize } from '../values.js';

export default command({
  options: {
    out: { string: true, demandOption: true, describe: 'output folder: new, empty, or of the same command' },
    scans: { number: true, demandOption: true, describe: 'number of scans' },
    size: { string: true, default: PHANTOM_SIZE.join('x'), describe: 'size in voxels, x×y×z' },
    seed: { number: true, default: 1, describe: 'a different seed gives different patients' },
    task: taskOption(PHANTOM_TASKS, 'use the layout of a target task’s real data set, for prepare --task'),
    format: { choices: ['nii.gz', 'mhd'] as const, describe: 'file format; nii.gz by default' },
  },
  examples: [
    ['$0 phantom --out phantoms --scans 20', '20 scans, lung and nodule masks, annotations.csv'],
    [
      '$0 phantom --task ncc --out luna16-phantom --scans 20',
      'in the layout of LUNA16: subset0 … subset9, candidates_V2.csv',
    ],
  ],
  run: async (args, reporter) => {
    const { out, scans, seed, task, format } = args;
    const common = { out, scans, size: parseSize(args.size), seed, reporter };
    if (task) {
      refuseIdle('--task, whose layout has its own', { '--format': format });
      const written = await writeTaskPhantoms({ ...common, task });
      const text = `wrote ${written.scans} scans in the layout of ${written.task}\nnext: p2w prepare --task ${written.task} --input ${shellWord(written.out)} --out samples`;
      return { text, json: written };
    }
    const result = await writePhantoms({ ...common, ...(format && { format }) });
    return {
      text: `wrote ${result.scans.length} scans, and their nodules to ${result.annotations}`,
      json: result,
    };
  },
});
