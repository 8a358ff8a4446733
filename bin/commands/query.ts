import { type QuerySummary, queryScan } from '../../src/commands/query.js';
import { command } from '../command.js';
import { deviceOption, keepUidsOption } from '../options.js';
import { parseBox } from '../values.js';

function table(hits: QuerySummary['hits']): string[] {
  const lines = hits.map(({ score, source, offset }) => [
    score.toFixed(4),
    source,
    offset === null ? '' : `from voxel ${offset.join(',')}`,
  ]);
  const width = Math.max(0, ...lines.map(([, source]) => source!.length));
  return lines.map(([score, source, place]) =>
    `${score!.padStart(7)}  ${source!.padEnd(width)}  ${place}`.trimEnd(),
  );
}

export default command({
  options: {
    index: { string: true, demandOption: true, describe: 'folder that `p2w index` wrote' },
    input: { string: true, demandOption: true, describe: 'a scan' },
    box: {
      string: true,
      describe: 'part of the scan: its first and last voxel, x,y,z,x,y,z, in LPS orientation',
    },
    k: { number: true, default: 10, describe: 'how many to find' },
    out: { string: true, describe: 'FILE.html: the hits beside the query, in pictures' },
    model: { string: true, describe: 'the encoder of the index, if it was moved' },
    device: deviceOption,
    threads: { number: true, default: 0, describe: 'threads of ONNX Runtime; 0 is one a core' },
    'keep-uids': keepUidsOption,
  },
  examples: [
    ['$0 query --index index --input scan.nii.gz --out hits.html', 'the ten most similar scans'],
    [
      '$0 query --index regions --input scan.nii.gz --box 40,60,20,79,99,39 -k 5',
      'five regions like this one',
    ],
  ],
  run: async (args, reporter) => {
    const summary = await queryScan({
      reporter,
      index: args.index,
      input: args.input,
      k: args.k,
      threads: args.threads,
      keepUids: args['keep-uids'],
      ...(args.box === undefined ? {} : { box: parseBox(args.box) }),
      ...(args.out === undefined ? {} : { out: args.out }),
      ...(args.model === undefined ? {} : { model: args.model }),
      ...(args.device === undefined ? {} : { device: args.device }),
    });
    const { hits, out } = summary;
    const lines = hits.length === 0 ? ['the index holds no other scan'] : table(hits);
    return { text: [...lines, ...(out ? [`wrote ${out}`] : [])].join('\n'), json: summary };
  },
});
