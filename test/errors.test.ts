import { constants, inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { fromSystemError } from '../src/errors.js';
import { errorOf } from './data/store/tiles-sample.js';

test.each([
  [{ code: 'ENOSPC' }, /^where: the disk is full\n {2}fix: /],
  [
    { code: 'ESTALE', errno: -116, syscall: 'read' },
    /^where: the system call read failed: ESTALE\n {2}fix: /,
  ],
])('an error of the system is for users: %j', (facts, message) => {
  const error = Object.assign(new Error('it failed'), facts);
  expect(fromSystemError(error, 'where')).toMatchObject({
    ...{ name: 'UserError', kind: 'disk', cause: error },
    message: expect.stringMatching(message),
  });
});

test('others are passed on as they are', () => {
  const ofZlib = errorOf(() => inflateSync(Buffer.from('not compressed')));
  expect(ofZlib).toMatchObject({ errno: constants.Z_DATA_ERROR });
  for (const error of [ofZlib, new TypeError('x is not a function')])
    expect(fromSystemError(error, 'where')).toBe(error);
  for (const thrown of [undefined, null, 'text'])
    expect(fromSystemError(thrown, 'where')).toEqual(new Error(String(thrown)));
});
