import { makeReport } from '../../src/commands/report.js';
import { makeTargetReport } from '../../src/commands/report-target.js';
import { isFinetuneRun } from '../../src/runs/run.js';
import { command, deviceOption } from '../command.js';

export default command({
  options: {
    run: { string: true, demandOption: true, describe: 'folder of a run, or of a trial of a fine-tuning' },
    data: { string: true, describe: 'its tiles or samples, if they have moved' },
    device: { ...deviceOption, describe: `${deviceOption.describe}; the run’s without it` },
    wholes: { number: true, default: 48, describe: 'validation wholes to analyse at most' },
    parts: { number: true, default: 12, describe: 'parts of each, two or more' },
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
