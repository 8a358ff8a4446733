import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { expect, it, vi } from 'vitest';
import { readVolume } from '../../../src/data/scan/index.js';
import { concat, niftiHeader, rawBytes, temporaryFolder, userErrorOf } from './samples.js';

const file = temporaryFolder();
const stale = Object.assign(new Error('ESTALE: stale file handle, read'), {
  ...{ code: 'ESTALE', errno: -116, syscall: 'read' },
});
vi.mock('node:fs', async (original) => ({
  ...(await original<typeof import('node:fs')>()),
  createReadStream: () => new Readable({ construct: (done) => done(stale) }),
}));

const nii = concat(niftiHeader(), rawBytes(new Int16Array(60), 'int16'));
it.each([
  ['plain.nii', nii],
  ['zipped.nii.gz', gzipSync(nii)],
])('%s: a disk that fails is not taken for corrupt data', async (name, bytes) => {
  const error = await userErrorOf(readVolume(file(name, bytes)));
  expect(error).toMatchObject({ kind: 'disk', facts: { where: file(name) } });
  expect(error.message).toMatch(/read failed: ESTALE/);
});
