import { formatGraph, type GraphReport, makeGraph } from '../../src/commands/graph.js';
import { makeModelGraph } from '../../src/commands/graph-imported.js';
import { readConfigFile } from '../../src/config/file.js';
import { fromSettings } from '../../src/config/settings.js';
import { refuseIdle, UserError } from '../../src/errors.js';
import { command } from '../command.js';
import { givenModelOptions, modelOptions, typedModelOptions } from '../model-options.js';
import { configOptions } from '../options.js';
import { parseSize } from '../values.js';

export default command({
  options: {
    ...configOptions,
    preset: { ...configOptions.preset, describe: 'network size; default tiny' },
    model: { string: true, describe: 'any ONNX model instead of a preset: graphs that train it' },
    ...modelOptions,
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
    [
      '$0 graph --model resnet.onnx --input-size image=8x3x224x224 --what gradient --loss crossEntropy --out gradient.onnx',
      'the same for any ONNX model',
    ],
  ],
  run: async (args) => {
    const { what } = args;
    const out = args.out ? { out: args.out } : {};
    let result: GraphReport;
    if (args.model !== undefined) {
      refuseIdle('--model', {
        ...{ '--preset': args.preset, '--proxy': args.proxy, '--config': args.config, '--tile': args.tile },
        ...{ '--set': args.set.length > 0 ? args.set : undefined },
        ...{ '--show-config': args['show-config'] || undefined },
      });
      if (what === 'encoder')
        throw new UserError('usage', {
          what: 'the graph of a model that trains it is a step, its gradient or an evaluation',
          where: '--what',
          got: what,
          expected: 'step, gradient, eval',
        });
      result = await makeModelGraph({ model: args.model, what, ...givenModelOptions(args), ...out });
    } else {
      refuseIdle('a preset: give --model', typedModelOptions(args));
      result = await makeGraph({
        ...(args.config ? { file: readConfigFile(args.config) } : {}),
        config: fromSettings(args.set, { preset: args.preset, proxy: args.proxy }),
        what,
        ...(args.tile ? { tile: parseSize(args.tile, '--tile') } : {}),
        ...out,
      });
    }
    const lines = [
      ...(args['show-config'] ? [JSON.stringify(result.config, null, 2)] : []),
      ...(args.summary || !(args.out || args['show-config']) ? [formatGraph(result)] : []),
      ...(args.out ? [`wrote ${args.out}`] : []),
    ];
    return { text: lines.join('\n'), json: { ...result, ...out } };
  },
});
