import { reconstruct as run } from '../../src/commands/reconstruct.js';
import { VOLUME_FORMATS } from '../../src/data/scan/write-volume.js';
import { command, type Output, scansOutput, shardOutput } from '../command.js';
import { wholeScanOptions, wholeScans } from '../options.js';

export default command({
  options: {
    ...wholeScanOptions('autoencoder.onnx'),
    out: {
      string: true,
      demandOption: true,
      describe: 'folder for pictures, reconstructions and error maps',
    },
    overlap: { number: true, default: 0.5, describe: 'share of a window that the next one covers again' },
    format: { choices: VOLUME_FORMATS, default: 'nii.gz' as const, describe: 'format of the volumes' },
  },
  examples: [
    [
      '$0 reconstruct --model model/autoencoder.onnx --input scans --out reconstructed',
      'what the model knows of each scan',
    ],
  ],
  run: async (args, reporter): Promise<Output> => {
    const summary = await run({
      ...wholeScans(args, reporter),
      out: args.out,
      overlap: args.overlap,
      format: args.format,
    });
    const { out, scans, errors } = summary;
    if (args.shard) return shardOutput(args.shard, scans, summary);
    return scansOutput(
      summary,
      errors.map(
        ({ scan, meanAbsoluteError }) =>
          `${scan}: mean absolute error ${(100 * meanAbsoluteError).toFixed(1)} %`,
      ),
      `wrote ${scans} reconstructions to ${out}`,
    );
  },
});
