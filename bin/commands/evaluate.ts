import { evaluate as run } from '../../src/commands/evaluate.js';
import { formatEvaluation } from '../../src/commands/evaluation.js';
import { command } from '../command.js';

export default command({
  options: {
    prediction: {
      string: true,
      demandOption: true,
      describe:
        'mask, probability map or folder of them; table of id,score or of detections as in LUNA16; index of `p2w index`',
    },
    reference: {
      string: true,
      demandOption: true,
      describe:
        'mask or folder of masks; table of id,label or annotations.csv as in LUNA16; table of indexed scans',
    },
    label: { number: true, describe: 'masks: class to compare; by default masks must be 0 and 1' },
    tolerance: {
      number: true,
      default: 1,
      describe: 'masks: tolerance of the surface Dice in mm',
    },
    excluded: {
      string: true,
      describe: 'detections: table of findings that are neither hits nor false positives',
    },
    scans: { string: true, describe: 'detections: file with the names of all scans, one per line' },
    columns: { string: true, array: true, describe: 'index: columns in which neighbours are compared' },
    apart: { string: true, describe: 'index: column, such as the patient, that neighbours must not share' },
    k: { number: true, describe: 'index: neighbours of each scan or region (default 10)' },
    resamples: { number: true, default: 1000, describe: 'bootstrap resamples; 0 for no intervals' },
    seed: { number: true, default: 1, describe: 'seed of the resamples' },
  },
  examples: [
    ['$0 evaluate --prediction liver.nii.gz --reference truth.nii.gz --label 1', 'IoU, Dice, distances'],
    ['$0 evaluate --prediction scores.csv --reference labels.csv --json', 'AUC, average precision'],
    ['$0 evaluate --prediction submission.csv --reference annotations.csv', 'FROC, CPM'],
    ['$0 evaluate --prediction index --reference scans.csv --columns age sex', 'what neighbours share'],
  ],
  run: async (args, reporter) => {
    const { kind, facts, metrics, ...rest } = await run({
      reporter,
      prediction: args.prediction,
      reference: args.reference,
      toleranceMm: args.tolerance,
      resamples: args.resamples,
      seed: args.seed,
      ...(args.label === undefined ? {} : { label: args.label }),
      ...(args.excluded === undefined ? {} : { excluded: args.excluded }),
      ...(args.scans === undefined ? {} : { scans: args.scans }),
      ...(args.columns === undefined ? {} : { columns: args.columns }),
      ...(args.apart === undefined ? {} : { apart: args.apart }),
      ...(args.k === undefined ? {} : { k: args.k }),
    });
    return {
      text: formatEvaluation({ kind, facts, metrics, ...rest }),
      json: { kind, ...facts, ...metrics, ...rest },
    };
  },
});
