import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { P2W } from '../commands/cli.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { writePretrained, writeThresholds } from '../inference/models.js';
import { ROOT, testDocument } from './document.js';

testDocument('docs/production.md', 0);

/** The lines of blocks that `testDocument` leaves out. */
const shown = [
  ...readFileSync(join(ROOT, 'docs/production.md'), 'utf8').matchAll(/```sh no-run\n([\s\S]*?)```/g),
]
  .flatMap((match) => match[1]!.trim().split('\n'))
  .map((line) => [...line.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word));
const linesOf = (program: string) => shown.filter(([name]) => name === program).map(([, ...args]) => args);

test('the service that it starts answers the requests that it shows', async () => {
  const folder = temporaryFolder();
  const run = promisify(execFile);
  await run(process.execPath, [P2W, 'phantom', '--out', 'phantoms', '--scans', '1', '--size', '40x40x24'], {
    cwd: folder,
  });
  await run('mkdir', ['encoder', 'segmenter'], { cwd: folder });
  writePretrained(join(folder, 'encoder/encoder.onnx'), 'encoder');
  writeThresholds(join(folder, 'segmenter/segmenter.onnx'));
  const commands = linesOf('p2w');
  for (const args of commands.filter(([name]) => name === 'index'))
    await run(process.execPath, [P2W, ...args], { cwd: folder });
  // The last one has an index, too.
  const args = commands.findLast(([name]) => name === 'serve')!;
  const child = spawn(process.execPath, [P2W, ...args, '--port', '0'], { cwd: folder });
  try {
    const url = await new Promise<string>((resolve, reject) => {
      child.once('exit', () => reject(new Error('the service has ended')));
      createInterface({ input: child.stderr }).on('line', (line) => {
        const { event, url } = JSON.parse(line);
        if (event === 'listening') resolve(url);
      });
    });
    const requests = linesOf('curl');
    expect(requests.length).toBeGreaterThanOrEqual(5);
    for (const request of requests) {
      const here = request.map((word) => word.replace('http://127.0.0.1:8080', url));
      await expect(run('curl', ['--fail', '--silent', ...here], { cwd: folder })).resolves.toBeDefined();
    }
    expect(readFileSync(join(folder, 'preview.png')).subarray(1, 4).toString()).toBe('PNG');
  } finally {
    child.kill();
  }
});
