import { formatDoctor, doctor as run } from '../../src/commands/doctor.js';
import { command } from '../command.js';

export default command({
  options: {},
  examples: [['$0 doctor', 'check Node.js, CPU, ONNX Runtime and its providers, memory, disk']],
  run: async () => {
    const report = await run();
    return { text: formatDoctor(report), json: report, exitCode: report.ok ? 0 : 1 };
  },
});
