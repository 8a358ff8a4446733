import { makeIndex } from '../../src/commands/make-index.js';
import { command, type Output } from '../command.js';
import { wholeScanOptions, wholeScans } from '../options.js';

const {
  input,
  shard: _,
  ...shared
} = wholeScanOptions('encoder.onnx, or chest: the encoder that comes with p2w');

export default command({
  options: {
    ...shared,
    input: {
      ...input,
      demandOption: false,
      describe: `${input.describe}; with --features, to check them, and for pictures`,
    },
    features: {
      string: true,
      describe: 'FILE.parquet, .jsonl or .npy that `p2w embed` wrote with this model',
    },
    out: {
      string: true,
      demandOption: true,
      describe: 'folder for the index; run again with more in --input, it computes what is new',
    },
    per: {
      choices: ['scan', 'window'] as const,
      describe: 'find scans (default), or regions: windows of scans',
    },
    overlap: { number: true, describe: 'share of a window that the next one covers again; default 0' },
    recall: {
      number: true,
      default: 0.99,
      describe: 'large indexes: share of the ten nearest neighbours that queries must find',
    },
  },
  examples: [
    ['$0 index --model encoder/encoder.onnx --input scans --out index', 'find scans'],
    [
      '$0 index --model encoder/encoder.onnx --input scans --out regions --per window --overlap 0.5',
      'find regions',
    ],
    [
      '$0 index --model encoder/encoder.onnx --features features.parquet --out index',
      'of features that are there',
    ],
  ],
  run: async (args, reporter): Promise<Output> => {
    const summary = await makeIndex({
      ...wholeScans({ ...args, input: args.input ?? [], shard: undefined }, reporter),
      out: args.out,
      recall: args.recall,
      ...(args.features === undefined ? {} : { features: args.features }),
      ...(args.per === undefined ? {} : { per: args.per }),
      ...(args.overlap === undefined ? {} : { overlap: args.overlap }),
    });
    const { out, scans, rows, dimensions, lists, probes, recall, failures } = summary;
    const how =
      lists === 1
        ? 'queries compare all of them'
        : `queries look at ${probes} of ${lists} lists and find ${(100 * recall).toFixed(1)} % of the ten nearest`;
    return {
      text: [
        ...failures.map(({ source, message }) => `failed: ${source}: ${message}`),
        `indexed ${rows} vectors of ${dimensions} features, from ${scans} scans, in ${out}; ${how}`,
      ].join('\n'),
      json: summary,
    };
  },
});
