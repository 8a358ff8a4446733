import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type PrepareOptions, prepare } from '../../src/commands/prepare.js';
import { writeMetaImage } from '../../src/data/scan/metaimage.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';
import { mountDisk, remount } from '../small-disk.js';

const ROOT = join(import.meta.dirname, '../..');
const folder = temporaryFolder();

/** Runs `prepare` in a process of its own, which writes a line for each scan and its peak memory at the end. */
function spawnPrepare(options: PrepareOptions): ChildProcess {
  const script = `
    import { prepare } from '${ROOT}/src/commands/prepare.ts';
    const progress = { update: (done) => console.log('done', done), log() {}, stop() {} };
    await prepare({ ...${JSON.stringify(options)}, reporter: { log() {}, start: () => progress } });
    console.log('MB', process.resourceUsage().maxRSS / 1024);
  `;
  const args = ['--import', 'tsx', '--input-type=module', '-e', script];
  return spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
}

/** All files of a store by path, without locks. */
function contents(store: string): Map<string, Buffer> {
  const files = readdirSync(store, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.lock'))
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(files.sort().map((file) => [relative(store, file), readFileSync(file)]));
}

test('a prepare that is killed again and again ends with the same store, byte by byte', async () => {
  const input = join(folder, 'killed-input');
  mkdirSync(input);
  const volume = noiseVolume([256, 256, 40], 1);
  for (let i = 0; i < 6; i++) {
    await writeMetaImage(join(input, `${i}.mha`), { ...volume, origin: [i, 0, 0] }, { compressed: true });
  }
  const options = { input: [input], size: [64, 64, 8] as const };
  const expected = join(folder, 'undisturbed');
  await prepare({ ...options, out: expected });

  const out = join(folder, 'killed');
  let most = 0;
  for (let kill = 0; kill < 4; kill++) {
    const child = spawnPrepare({ ...options, out });
    const exited = once(child, 'exit');
    // After the first line it is at work; then somewhere within the next scan or two.
    await once(child.stdout!, 'data');
    await sleep(Math.random() * 120);
    child.kill('SIGKILL');
    await exited;
    const finished = [...contents(out).keys()].filter(
      (name) => name.startsWith('records/') && !name.includes('.tmp'),
    );
    expect(finished.length).toBeGreaterThanOrEqual(most);
    most = finished.length;
  }
  await prepare({ ...options, out });
  const found = contents(out);
  expect([...found.keys()]).toEqual([...contents(expected).keys()]);
  for (const [name, bytes] of contents(expected)) expect(found.get(name)!.equals(bytes), name).toBe(true);
});

test('memory of a thread does not grow with the number of scans', async () => {
  const input = join(folder, 'many');
  mkdirSync(input);
  // Many headers share the voxels of one scan, of 16 MiB.
  await writeMetaImage(join(input, '00.mhd'), {
    ...noiseVolume([512, 512, 1], 1),
    size: [512, 512, 32],
    voxels: new Int16Array(2 ** 23),
  });
  const header = readFileSync(join(input, '00.mhd'));
  const peak = async (scans: number) => {
    for (let i = 1; i < scans; i++) writeFileSync(join(input, `${String(i).padStart(2, '0')}.mhd`), header);
    const child = spawnPrepare({
      input: [input],
      out: join(folder, `many-${scans}`),
      size: [128, 128, 32],
      workers: 1,
    });
    let output = '';
    child.stdout!.on('data', (text) => (output += text));
    await once(child, 'close');
    return Number(/MB (\d+)/.exec(output)?.[1]);
  };
  const few = await peak(3);
  expect(few).toBeGreaterThan(0);
  expect((await peak(15)) - few).toBeLessThan(3 * 16);
});

test('a full disk is an error that loses nothing, and the next run goes on', async (context) => {
  const disk = join(folder, 'disk');
  mountDisk(context, disk, 'size=300k');
  const input = join(folder, 'full-input');
  mkdirSync(input);
  for (let i = 0; i < 3; i++) await writeMetaImage(join(input, `${i}.mha`), noiseVolume([64, 64, 16], i));
  const options = { input: [input], size: [64, 64, 8] as const };
  const out = join(disk, 'tiles');
  const error = await prepare({ ...options, out }).catch((reason) => reason);
  expect(error).toMatchObject({ name: 'UserError', kind: 'disk' });
  expect(error.message).toMatch(/the disk is full[\s\S]*run the same command again/);
  expect([...contents(out).keys()]).toEqual([
    ...['options.json', 'records/0.json', 'records/1.json', 'shards/0.npy', 'shards/1.npy'],
  ]);
  remount(disk, 'size=2m');
  const summary = await prepare({ ...options, out });
  const undisturbed = await prepare({ ...options, out: join(folder, 'full-expected') });
  expect(summary.hash).toBe(undisturbed.hash);
});

test('threads leave nothing half written on a full disk', async (context) => {
  const disk = join(folder, 'threaded-disk');
  mountDisk(context, disk, 'size=24m');
  const input = join(folder, 'threaded-input');
  mkdirSync(input);
  const volume = noiseVolume([512, 512, 32], 1);
  for (let i = 0; i < 4; i++) await writeMetaImage(join(input, `${i}.mha`), volume);
  const out = join(disk, 'tiles');
  for (let attempt = 0; attempt < 3; attempt++) {
    const error = await prepare({ input: [input], out, size: [128, 128, 32], workers: 4 }).catch(
      (reason) => reason,
    );
    expect(error).toMatchObject({ name: 'UserError', kind: 'disk' });
    expect([...contents(out).keys()].filter((name) => name.includes('.tmp'))).toEqual([]);
  }
});
