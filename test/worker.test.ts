import { afterEach, expect, test } from 'vitest';
import { startThreads, type Threads } from '../src/worker.js';

let threads: Threads<string, number>;
let counter: Int32Array;
const start = (count: number, queued = 1) => {
  counter = new Int32Array(new SharedArrayBuffer(4));
  threads = startThreads(import.meta.url, './dying.worker', counter, count, {
    nameOf: (request) => `the scan ${request}`,
    queued,
  });
};
const failure = (request: string) => threads.ask(request).catch((error: unknown) => error);
afterEach(() => threads.close());

test('threads answer, and go on after what they refuse', async () => {
  start(2);
  expect(await Promise.all(['a', 'bb', 'ccc'].map(threads.ask))).toEqual([1, 2, 3]);
  expect(await failure('refuse')).toMatchObject({
    name: 'UserError',
    kind: 'input',
    facts: { where: 'there' },
  });
  expect(await threads.ask('dddd')).toBe(4);
});

test('a thread that dies names what it was at', async () => {
  start(1);
  const [error, next] = await Promise.all([failure('die'), failure('a')]);
  for (const each of [error, next])
    expect(each).toMatchObject({ name: 'UserError', kind: 'data', facts: { where: 'the scan die' } });
});

test('a defect is thrown as it is: nobody shall take it for a bad file', async () => {
  start(1);
  expect(await failure('defect')).toMatchObject({ name: 'TypeError' });
});

test('a thread that has several requests at once goes on while this one is busy', async () => {
  start(1, 4);
  const asked = ['a', 'refuse', 'bb', 'ccc'].map((request) => threads.ask(request).catch(String));
  // Busy as in a run of a model: no answer is heard, and nothing else is sent.
  for (let n = 0; n < 4; n = Atomics.load(counter, 0))
    expect(Atomics.wait(counter, 0, n, 20_000)).not.toBe('timed-out');
  expect(await Promise.all(asked)).toEqual([1, expect.stringContaining('no'), 2, 3]);
});
