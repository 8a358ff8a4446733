import { expect, test } from 'vitest';
import { closing } from '../src/closing.js';

const thrower = (message: string) => () => {
  throw new Error(message);
};

test('what was opened is closed in reverse, also when closing fails', async () => {
  const closed: string[] = [];
  const work = closing(async (opened) => {
    opened(async () => closed.push('first'));
    opened(thrower('cannot be closed'));
    opened(() => closed.push('last'));
    return 'done';
  });
  await expect(work).rejects.toThrow('cannot be closed');
  expect(closed).toEqual(['last', 'first']);
});

test('what went wrong in the work is told, not what went wrong in closing', async () => {
  const work = closing(async (opened) => {
    opened(thrower('cannot be closed'));
    throw new Error('the cause');
  });
  await expect(work).rejects.toThrow('the cause');
  await expect(closing(async () => 'done')).resolves.toBe('done');
});
