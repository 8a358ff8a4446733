import { segment as run } from '../../src/commands/segment.js';
import { VOLUME_FORMATS } from '../../src/data/scan/write-volume.js';
import { command, type Output, scansOutput, shardOutput } from '../command.js';
import { wholeScanOptions, wholeScans } from '../options.js';

export default command({
  options: {
    ...wholeScanOptions('segmenter.onnx'),
    out: { string: true, demandOption: true, describe: 'folder for masks and volumes.csv' },
    overlap: { number: true, default: 0.5, describe: 'share of a window that the next one covers again' },
    format: { choices: VOLUME_FORMATS, default: 'nii.gz' as const, describe: 'format of the masks' },
    probabilities: { boolean: true, default: false, describe: 'also write a map of probabilities per class' },
    'largest-component': {
      boolean: true,
      default: false,
      describe: 'keep only the largest connected component of each class',
    },
    'minimum-volume': { number: true, default: 0, describe: 'remove components smaller than this, in ml' },
  },
  examples: [
    ['$0 segment --model model/segmenter.onnx --input scans --out segmented', 'a mask for each scan'],
    [
      '$0 segment --model model/segmenter.onnx --input ct.nii.gz --out lungs --largest-component',
      'without what is not connected',
    ],
  ],
  run: async (args, reporter): Promise<Output> => {
    const summary = await run({
      ...wholeScans(args, reporter),
      out: args.out,
      overlap: args.overlap,
      format: args.format,
      probabilities: args.probabilities,
      largestComponent: args['largest-component'],
      minimumVolume: args['minimum-volume'],
    });
    const { out, scans, kept, volumes } = summary;
    if (args.shard) return shardOutput(args.shard, scans, summary);
    return scansOutput(
      summary,
      volumes.map(({ scan, class: name, ml }) => `${scan}: ${name} ${ml.toFixed(1)} ml`),
      `wrote ${scans} masks and volumes.csv to ${out}${kept > 0 ? `; ${kept} were there already` : ''}`,
    );
  },
});
