import { afterEach, expect, test } from 'vitest';
import { startThreads, type Threads } from '../src/worker.js';

let threads: Threads<string, number>;
const start = (count: number) => {
  threads = startThreads(import.meta.url, './dying.worker', null, count, (request) => `the scan ${request}`);
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
