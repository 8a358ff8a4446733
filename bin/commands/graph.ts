import { formatGraph, makeGraph } from '../../src/commands/graph.js';
import { readConfigFile } from '../../src/config/file.js';
import { fromSettings } from '../../src/config/settings.js';
import { command, configOptions, parseSize } from '../command.js';

export default command({
  options: {
    ...configOptions,
    preset: { ...configOptions.preset, default: 'tiny' as const },
    what: {
      choices: ['step', 'gradient', 'eval', 'encoder'] as const,
      default: 'step' as const,
      describe: 'training step; loss and gradients; evaluation; encoder with untrained weights',
    },
    tile: { string: true, describe: 'size of the stored tiles, x×y×z, if larger than the preset’s wholes' },
    out: { string: true, describe: 'write the ONNX model here' },
    summary: {
      boolean: true,
      default: false,
      describe: 'print layers, parameters, FLOPs and activation memory',
    },
    'show-config': { boolean: true, default: false, describe: 'print every key of the configuration' },
  },
  examples: [
    ['$0 graph --preset paper --what step --summary', 'cost of a step of the paper’s network'],
    [
      '$0 graph --preset tiny --what gradient --out gradient.onnx',
      'a model that returns the gradient of every parameter',
    ],
  ],
  run: async (args) => {
    const result = await makeGraph({
      preset: args.preset,
      ...(args.config ? { file: readConfigFile(args.config) } : {}),
      config: fromSettings(args.set, { proxy: args.proxy }),
      what: args.what,
      ...(args.tile ? { tile: parseSize(args.tile, '--tile') } : {}),
      ...(args.out ? { out: args.out } : {}),
    });
    const lines = [
      ...(args['show-config'] ? [JSON.stringify(result.config, null, 2)] : []),
      ...(args.summary || !(args.out || args['show-config']) ? [formatGraph(result)] : []),
      ...(args.out ? [`wrote ${args.out}`] : []),
    ];
    return { text: lines.join('\n'), json: { ...result, ...(args.out ? { out: args.out } : {}) } };
  },
});
