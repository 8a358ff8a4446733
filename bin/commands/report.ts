import { makeReport } from '../../src/commands/report.js';
import { makeTargetReport } from '../../src/commands/report-target.js';
import { isFinetuneRun } from '../../src/runs/run.js';
import { command } from '../command.js';
import { deviceOption } from '../options.js';

export default command({
  options: {
    run: { string: true, demandOption: true, describe: 'folder of a run or of a fine-tuning trial' },
    data: { string: true, describe: 'tiles or samples of the run, if they have moved' },
    device: { ...deviceOption, describe: `${deviceOption.describe}; default: the run’s` },
    wholes: {
      number: true,
      default: 48,
      describe: 'maximum number of validation wholes (full images) to analyse',
    },
    parts: { number: true, default: 12, describe: 'parts (crops) of each, at least 2' },
  },
  examples: [
    ['$0 report --run runs/first', 'curves, reconstructions, contrastive analysis in one file'],
    ['$0 report --run runs/target/trial-01', 'curves, test scores, ROC curve or segmentations'],
  ],
  run: async (args, reporter) => {
    const options = {
      run: args.run,
      ...(args.data ? { data: args.data } : {}),
      ...(args.device ? { device: args.device } : {}),
    };
    const { text, ...json } = isFinetuneRun(args.run)
      ? await makeTargetReport(options)
      : await makeReport({ ...options, reporter, wholes: args.wholes, parts: args.parts });
    return { text, json };
  },
});
