import { runDemo } from '../../src/commands/demo.js';
import { command } from '../command.js';

export default command({
  options: {
    out: {
      string: true,
      default: 'artifacts/demo',
      describe: 'output folder: new, empty, or of an earlier demo, which is replaced',
    },
  },
  examples: [['$0 demo', 'about 3 minutes on 2 cores']],
  run: async ({ out }, reporter) => {
    const { text, ...json } = await runDemo(out, reporter);
    return { text, json };
  },
});
