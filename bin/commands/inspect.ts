import { formatInspection, inspect as run } from '../../src/tasks/inspect.js';
import { command } from '../command.js';

export const inspect = command({
  usage: 'inspect <file>',
  describe: 'Say what a scan, tile store, run, checkpoint or ONNX model holds',
  options: { file: { string: true, demandOption: true, hidden: true } },
  positional: (args) =>
    args.positional('file', { type: 'string', describe: 'file, or folder of tiles or of a run' }),
  examples: [
    ['$0 inspect scan.nii.gz', 'size, spacing, orientation'],
    ['$0 inspect runs/first/checkpoints/last.safetensors', 'tensors and training state'],
  ],
  run: async ({ file }) => {
    const inspection = await run(file);
    return { text: formatInspection(inspection), json: inspection };
  },
});
