import { truncateSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { openDicomFile } from '../../../../src/data/scan/dicom/file.js';
import { temporaryFolder } from '../samples.js';
import { ctSlice, dicomBytes } from './writer.js';

const file = temporaryFolder();
const after = vi.hoisted(() => ({ stat: (_: string) => {} }));
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const stat = async (path: string) => {
    const info = await real.stat(path);
    after.stat(path);
    return info;
  };
  return { ...real, stat };
});

it('a file that is cut off while it is opened, as one that is copied anew, is broken', async () => {
  const path = file('shrinking', dicomBytes(ctSlice(0)));
  after.stat = (path) => truncateSync(path, 300);
  expect(await openDicomFile(path)).toMatchObject({ pixels: null, flaw: 'the file ends within its header' });
});
