import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test, vi } from 'vitest';
import { prepare } from '../../src/commands/prepare.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { writeMetaImage } from '../../src/data/scan/metaimage.js';
import { UserError } from '../../src/errors.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';

const readVolume = vi.hoisted(() => vi.fn());
vi.mock('../../src/data/scan/index.js', async (original) => ({
  ...(await original<object>()),
  readVolume,
}));

const folder = temporaryFolder();
const input = join(folder, 'a.mha');
const run = () => prepare({ input: [input], out: join(folder, 'tiles'), size: [16, 8, 8] });
beforeAll(() => writeMetaImage(input, noiseVolume([32, 24, 16], 0)));

test('a defect of ours is no failed scan: it is thrown as it is', async () => {
  readVolume.mockRejectedValue(new TypeError('x is not a function'));
  await expect(run()).rejects.toThrow(TypeError);
});

test.each<[string, Error, RegExp]>([
  ['a broken file', new UserError('input', { what: 'it is broken' }), /it is broken/],
  ['an error of the disk', Object.assign(new Error('EIO'), { code: 'EIO' }), /the disk reported/],
  [
    'another error of the system',
    Object.assign(new Error('ESTALE: stale file handle, read'), {
      ...{ code: 'ESTALE', errno: -116, syscall: 'read' },
    }),
    /read failed: ESTALE/,
  ],
  ['a lack of memory', new RangeError('Array buffer allocation failed'), /does not fit in memory/],
])('%s is a failed scan', async (_, error, message) => {
  readVolume.mockRejectedValue(error);
  const failure = { message: expect.stringMatching(message) };
  expect((await run()).failures).toMatchObject([{ source: input, ...failure }]);
  const table = join(folder, 'table.csv');
  writeFileSync(table, 'image,id,label\na.mha,1,x\na.mha,2,y\n');
  const options = { task: 'manifest', input: table, out: join(folder, 'samples'), size: [16, 8, 8] } as const;
  expect((await prepareSamples(options)).failures).toMatchObject([failure, failure]);
});
