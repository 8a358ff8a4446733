import { merge } from '../../src/commands/merge.js';
import { command } from '../command.js';

export default command({
  positionals: {
    parts: {
      type: 'string',
      array: true,
      demandOption: true,
      describe:
        'files that embed, classify, segment or reconstruct wrote, of different scans and the same model',
    },
  },
  options: {
    out: {
      string: true,
      demandOption: true,
      describe:
        'features as FILE.npy, FILE.jsonl or FILE.parquet; classes as FILE.csv or FILE.jsonl; tables as FILE.csv',
    },
    'name-parts': {
      boolean: true,
      default: false,
      describe: 'put the name of its part before that of each scan: for parts with scans of the same name',
    },
  },
  examples: [
    ['$0 merge parts/*.parquet --out features.parquet', 'feature vectors of many folders of scans'],
    [
      '$0 merge north/volumes.csv south/volumes.csv --name-parts --out volumes.csv',
      'scans as north/volumes/NAME',
    ],
  ],
  run: async (args) => {
    const summary = await merge({ input: args.parts, out: args.out, nameParts: args['name-parts'] });
    const { files, parts, scans, rows } = summary;
    return {
      text: `wrote ${rows} rows of ${scans} scans from ${parts} files to ${files.join(' and ')}`,
      json: summary,
    };
  },
});
