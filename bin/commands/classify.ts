import { classify as run } from '../../src/commands/classify.js';
import { command, type Output, scansOutput, shardOutput } from '../command.js';
import { wholeScanOptions, wholeScans } from '../options.js';

export default command({
  options: {
    ...wholeScanOptions('classifier.onnx'),
    out: { string: true, demandOption: true, describe: 'FILE.csv or FILE.jsonl' },
    per: {
      choices: ['scan', 'window'] as const,
      default: 'scan' as const,
      describe: 'one row per scan, for its middle as in training, or one per window of the whole scan',
    },
    overlap: {
      number: true,
      describe: 'with --per window: share of a window that the next one covers again (default 0.5)',
    },
  },
  examples: [
    ['$0 classify --model model/classifier.onnx --input scans --out classes.csv', 'a row for each scan'],
    [
      '$0 classify --model model/classifier.onnx --input scans --out places.jsonl --per window',
      'a row for each window, with its place in mm',
    ],
  ],
  run: async (args, reporter): Promise<Output> => {
    const summary = await run({
      ...wholeScans(args, reporter),
      out: args.out,
      per: args.per,
      ...(args.overlap === undefined ? {} : { overlap: args.overlap }),
    });
    const { out, scans, rows } = summary;
    if (args.shard) return shardOutput(args.shard, scans, summary);
    return scansOutput(summary, [], `wrote ${rows} rows for ${scans} scans to ${out}`);
  },
});
