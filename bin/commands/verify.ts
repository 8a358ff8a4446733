import { formatVerification, verify as run } from '../../src/commands/verify.js';
import { command } from '../command.js';

export default command({
  positionals: {
    model: {
      type: 'string',
      demandOption: true,
      describe: 'model written by p2w export, or chest, which comes with p2w',
    },
  },
  options: {},
  examples: [
    ['$0 verify encoder/encoder.onnx', 'yes or no, also as the exit code 0 or 1'],
    ['$0 verify chest', 'the encoder that comes with p2w'],
  ],
  run: async ({ model }) => {
    const verification = await run(model);
    return { text: formatVerification(verification), json: verification, exitCode: verification.ok ? 0 : 1 };
  },
});
