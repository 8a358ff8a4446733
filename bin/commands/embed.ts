import { embed as run } from '../../src/commands/embed.js';
import { MAP_FORMATS } from '../../src/commands/embed-maps.js';
import { command, type Output, shardOutput } from '../command.js';
import { wholeScanOptions, wholeScans } from '../options.js';

export default command({
  options: {
    ...wholeScanOptions('encoder.onnx, or chest: the encoder that comes with p2w'),
    input: {
      string: true,
      array: true,
      demandOption: true,
      describe: 'scans, folders of scans, or tile stores',
    },
    out: {
      string: true,
      demandOption: true,
      describe: 'FILE.npy, FILE.jsonl or FILE.parquet; with --per map a folder',
    },
    per: {
      choices: ['scan', 'window', 'map'] as const,
      describe:
        'one vector per scan (mean over its windows; default for scans), per window or tile (default for tiles), or the whole feature map',
    },
    overlap: {
      number: true,
      describe: 'share of a window that the next one covers again; default 0, with --per map 0.5',
    },
    format: { choices: MAP_FORMATS, describe: 'with --per map: format of the maps; default npy' },
  },
  examples: [
    ['$0 embed --model chest --input scans --out features.npy', 'with the encoder that comes with p2w'],
    ['$0 embed --model encoder/encoder.onnx --input scans --out features.npy', 'one vector a scan'],
    ['$0 embed --model encoder/encoder.onnx --input tiles --out features.parquet', 'one vector a tile'],
    ['$0 embed --model encoder/encoder.onnx --input scans --out maps --per map', 'a feature map a scan'],
  ],
  run: async (args, reporter): Promise<Output> => {
    const summary = await run({
      ...wholeScans(args, reporter),
      out: args.out,
      ...(args.format ? { format: args.format } : {}),
      ...(args.per ? { per: args.per } : {}),
      ...(args.overlap === undefined ? {} : { overlap: args.overlap }),
    });
    const { rows, dimensions, failures } = summary;
    if (args.shard) return shardOutput(args.shard, summary.scans, summary);
    const written =
      args.per === 'map'
        ? `wrote ${rows} maps of ${dimensions} features to ${args.out}`
        : `wrote ${rows} vectors of ${dimensions} features to ${summary.files.join(' and ')}`;
    return {
      text: [written, ...failures.map(({ source, message }) => `failed: ${source}: ${message}`)].join('\n'),
      json: summary,
      exitCode: rows === 0 ? 1 : 0,
    };
  },
});
