/** Which workers there are, whatever comes in between. The workers are made up: when they are ready, and when they die, is up to the tests. */
import { beforeEach, expect, test, vi } from 'vitest';
import { UserError } from '../../src/errors.js';
import type { Job, ModelFile } from '../../src/serve/jobs.js';
import { makeMetrics } from '../../src/serve/metrics.js';
import { openPool } from '../../src/serve/pool.js';
import type { WorkerProcess } from '../../src/serve/worker-process.js';

/** A worker that is being started. */
interface Start {
  readonly files: readonly ModelFile[];
  ready(): void;
  fail(error: Error): void;
  die(): void;
  readonly ended: Promise<string>;
}
const { starts } = vi.hoisted(() => ({ starts: [] as Start[] }));
vi.mock('../../src/serve/worker-process.js', () => {
  class WorkerDied extends Error {}
  const startWorker = (
    { models: files }: { models: readonly ModelFile[] },
    _: unknown,
    signal: AbortSignal,
  ): Promise<WorkerProcess> =>
    new Promise((resolve, reject) => {
      let die = () => {};
      const ended = new Promise<string>((done) => {
        die = () => done('SIGKILL');
      });
      void ended.then(() => reject(new WorkerDied()));
      signal.addEventListener('abort', die);
      const answer = { type: 'text/plain', bytes: Buffer.from(files[0]!.path) };
      const worker = {
        ...{
          models: [],
          batch: 1,
          runtime: '',
          pid: starts.length,
          rssBytes: 0,
          running: 0,
          kill: die,
          ended,
        },
        perform: () => ({ outcome: Promise.resolve({ answer, model: '' }), cancel: () => {} }),
      };
      starts.push({ files, ready: () => resolve(worker), fail: reject, die, ended });
    });
  return { startWorker, WorkerDied };
});

const [OLD, NEW] = ['old', 'new'].map((path) => [{ name: 'model', path }]) as [ModelFile[], ModelFile[]];
beforeEach(() => void starts.splice(0));

/** The next worker that is started. @param i how many there were before */
const started = (i: number): Promise<Start> =>
  vi.waitFor(() => {
    const start = starts[i];
    if (!start) throw new Error(`${starts.length} workers have been started`);
    return start;
  });

async function open(workers: number) {
  const opening = openPool({
    ...{ queue: 10, timeoutSeconds: 10, metrics: makeMetrics(), log: () => {} },
    settings: { models: OLD, workers } as unknown as Parameters<typeof openPool>[0]['settings'],
  });
  for (let i = 0; i < workers; i++) (await started(i)).ready();
  return opening;
}
type Pool = Awaited<ReturnType<typeof open>>;
const answered = async (pool: Pool): Promise<string> => {
  const { answer } = await pool.run({} as Job, new AbortController().signal);
  return 'bytes' in answer ? Buffer.from(answer.bytes).toString() : answer.file;
};

test('a worker that comes with files that have been replaced meanwhile is not kept', async () => {
  const pool = await open(1);
  starts[0]!.die();
  const late = await started(1);
  expect(late.files).toBe(OLD);
  const swapped = pool.swap(NEW);
  (await started(2)).ready();
  await swapped;
  late.ready();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(pool.files).toBe(NEW);
  for (let i = 0; i < 3; i++) expect(await answered(pool)).toBe('new');
  await pool.close();
});

test('files that one worker has opened are served by all, though another fails at first', async () => {
  const pool = await open(2);
  const swapped = pool.swap(NEW);
  (await started(2)).ready();
  (await started(3)).fail(new UserError('runtime', { what: 'no memory' }));
  (await started(4)).ready();
  await swapped;
  expect(starts[4]!.files).toBe(NEW);
  expect(pool.files).toBe(NEW);
  expect(pool.ready).toBe(2);
  for (let i = 0; i < 4; i++) expect(await answered(pool)).toBe('new');
  await pool.close();
});

test('files that the first worker refuses change nothing', async () => {
  const pool = await open(1);
  const swapped = pool.swap(NEW);
  (await started(1)).fail(new UserError('input', { what: 'damaged' }));
  await expect(swapped).rejects.toThrow('damaged');
  expect(pool.files).toBe(OLD);
  expect(await answered(pool)).toBe('old');
  await pool.close();
});

test('a pool that is closed ends the workers that are being started, too', async () => {
  const pool = await open(1);
  starts[0]!.die();
  const late = await started(1);
  await pool.close();
  expect(await late.ended).toBe('SIGKILL');
  expect(starts).toHaveLength(2);
});
