import { makeReport } from '../../src/tasks/report.js';
import { command, deviceOption } from '../command.js';

export const report = command({
  usage: 'report',
  describe: 'Analyse a run’s checkpoints, and write report.html',
  options: {
    run: { string: true, demandOption: true, describe: 'folder of a run' },
    data: { string: true, describe: 'its tiles, if they have moved' },
    device: { ...deviceOption, describe: `${deviceOption.describe}; the run’s without it` },
    wholes: { number: true, default: 48, describe: 'validation wholes to analyse at most' },
    parts: { number: true, default: 12, describe: 'parts of each' },
  },
  examples: [['$0 report --run runs/first', 'curves, reconstructions, contrastive analysis in one file']],
  run: async (args) => {
    const { text, ...json } = await makeReport({
      run: args.run,
      ...(args.data ? { data: args.data } : {}),
      ...(args.device ? { device: args.device } : {}),
      wholes: args.wholes,
      parts: args.parts,
    });
    return { text, json };
  },
});
