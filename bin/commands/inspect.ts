import { formatInspection, inspect as run } from '../../src/commands/inspect.js';
import { command } from '../command.js';
import { parseInputSizes } from '../values.js';

export default command({
  positionals: {
    file: {
      type: 'string',
      demandOption: true,
      describe: 'file, folder of scans, tile folder or run folder',
    },
  },
  options: {
    'input-size': {
      array: true,
      string: true,
      describe:
        'of an ONNX model: sizes of an input that it leaves open, such as image=1x1x64x64x64, for which training is checked',
    },
  },
  examples: [
    ['$0 inspect scan.nii.gz', 'size, spacing, orientation'],
    ['$0 inspect scans', 'the scans in a folder, DICOM series included'],
    ['$0 inspect runs/first/checkpoints/last.safetensors', 'tensors and training state'],
    ['$0 inspect resnet.onnx', 'whether a model can be trained, and what of it'],
  ],
  run: async ({ file, 'input-size': sizes }) => {
    const inspection = await run(file, sizes ? { inputSizes: parseInputSizes(sizes) } : {});
    return { text: formatInspection(inspection), json: inspection };
  },
});
