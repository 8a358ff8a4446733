import { formatInspection, inspect as run } from '../../src/commands/inspect.js';
import { command } from '../command.js';

export default command({
  positionals: {
    file: {
      type: 'string',
      demandOption: true,
      describe: 'file, folder of scans, tile folder or run folder',
    },
  },
  options: {},
  examples: [
    ['$0 inspect scan.nii.gz', 'size, spacing, orientation'],
    ['$0 inspect scans', 'the scans in a folder, DICOM series included'],
    ['$0 inspect runs/first/checkpoints/last.safetensors', 'tensors and training state'],
  ],
  run: async ({ file }) => {
    const inspection = await run(file);
    return { text: formatInspection(inspection), json: inspection };
  },
});
