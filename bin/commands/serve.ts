import { jsonLog } from '../../src/serve/log.js';
import { serve as run } from '../../src/serve/serve.js';
import { tell } from '../../src/terminal.js';
import { command } from '../command.js';
import { deviceOption } from '../options.js';
import { parseBytes } from '../values.js';

/** Resolves when the process is asked to end; asked again, it ends at once. */
function asked(): Promise<void> {
  return new Promise((resolve) => {
    let before = false;
    const hear = () => {
      if (before) process.exit(130);
      before = true;
      resolve();
    };
    process.on('SIGINT', hear);
    process.on('SIGTERM', hear);
  });
}

export default command({
  options: {
    model: {
      string: true,
      array: true,
      demandOption: true,
      describe: 'models written by p2w export, or chest, which comes with p2w: FILE, or NAME=FILE',
    },
    index: {
      string: true,
      describe: 'folder that p2w index wrote, for /v1/search; its encoder must be served',
    },
    host: { string: true, default: '127.0.0.1', describe: 'address to listen at' },
    port: { number: true, default: 8080, describe: 'port; 0 takes any free one' },
    'token-file': {
      string: true,
      describe: 'file with the token that clients must send; needed off loopback',
    },
    workers: { number: true, describe: 'processes that run models; default: one a core, at most 4' },
    'max-body': {
      string: true,
      default: '2G',
      describe: 'most bytes of an upload, and of what it unpacks to, such as 500M',
    },
    queue: { number: true, default: 64, describe: 'requests that may wait; others get status 429' },
    timeout: { number: true, default: 300, describe: 'seconds that a request may wait and be worked on' },
    drain: {
      number: true,
      default: 30,
      describe: 'seconds that requests have to finish when the service ends',
    },
    scratch: { string: true, describe: 'folder for uploads; default: the system’s for temporary files' },
    device: deviceOption,
    batch: {
      number: true,
      describe: 'windows computed at once; default: 1 on a CPU, measured on a GPU',
    },
  },
  examples: [
    ['$0 serve --model encoder/encoder.onnx', 'features at http://127.0.0.1:8080/v1/embed'],
    [
      '$0 serve --model lungs=segmenter.onnx --host 0.0.0.0 --token-file token',
      'masks, for clients that have the token',
    ],
  ],
  run: async (args) => {
    const end = asked();
    const service = await run({
      models: args.model,
      ...{ host: args.host, port: args.port, queue: args.queue, timeoutSeconds: args.timeout },
      maxBodyBytes: parseBytes('--max-body', args['max-body']),
      ...(args['token-file'] !== undefined && { tokenFile: args['token-file'] }),
      ...(args.index !== undefined && { index: args.index }),
      ...(args.workers !== undefined && { workers: args.workers }),
      ...(args.scratch !== undefined && { scratch: args.scratch }),
      drainSeconds: args.drain,
      ...(args.batch !== undefined && { batch: args.batch }),
      ...(args.device !== undefined && { device: args.device }),
      log: jsonLog(tell),
    });
    await end;
    await service.close();
    return { text: '', json: { url: service.url } };
  },
});
