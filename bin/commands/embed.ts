import { embed as run } from '../../src/commands/embed.js';
import { command, deviceOption, keepUidsOption, parseSize } from '../command.js';

export default command({
  options: {
    model: { string: true, demandOption: true, describe: 'encoder.onnx' },
    input: {
      string: true,
      array: true,
      demandOption: true,
      describe: 'scans, folders of scans, or tile stores',
    },
    out: { string: true, demandOption: true, describe: 'FILE.npy, FILE.jsonl or FILE.parquet' },
    per: {
      choices: ['scan', 'tile'] as const,
      describe: 'one vector per scan (mean over its tiles; default for scans) or per tile',
    },
    size: {
      string: true,
      describe:
        'size of the tiles that scans are cut into, x×y×z; default: the size the model was trained on',
    },
    'keep-uids': keepUidsOption,
    device: deviceOption,
    threads: { number: true, default: 0, describe: 'threads of ONNX Runtime; 0 is one a core' },
  },
  examples: [
    ['$0 embed --model encoder/encoder.onnx --input scans --out features.npy', 'one vector a scan'],
    ['$0 embed --model encoder/encoder.onnx --input tiles --out features.parquet', 'one vector a tile'],
  ],
  run: async (args, reporter) => {
    const summary = await run({
      reporter,
      model: args.model,
      input: args.input,
      out: args.out,
      threads: args.threads,
      keepUids: args['keep-uids'],
      ...(args.device ? { device: args.device } : {}),
      ...(args.per ? { per: args.per } : {}),
      ...(args.size ? { size: parseSize(args.size) } : {}),
    });
    const failed = summary.failures.map(({ source, message }) => `failed: ${source}: ${message}`);
    return {
      text: [
        `wrote ${summary.rows} vectors of ${summary.dimensions} features to ${summary.files.join(' and ')}`,
        ...failed,
      ].join('\n'),
      json: summary,
      exitCode: summary.rows === 0 ? 1 : 0,
    };
  },
});
