import { expect, test } from 'vitest';
import { unpackedNames } from '../../src/serve/worker/unpack.js';

test('files of an archive are numbered', () => {
  expect(unpackedNames(['Doe^Jane/1.dcm', 'Doe^Jane/2.dcm'])).toEqual({ names: ['1', '2'], header: null });
});

test('files beside a header keep the names by which it finds them, and lead nowhere else', () => {
  const paths = [
    'a/Doe^Jane.MHD',
    'a/slice 1.raw',
    'b/slice 1.raw',
    '.',
    'x/..',
    'a\0b',
    'é'.repeat(200),
    '._a.mhd',
  ];
  expect(unpackedNames(paths)).toEqual({
    names: ['scan.mhd', 'slice 1.raw', null, null, null, null, null, '._a.mhd'],
    header: 'scan.mhd',
  });
});

test('an image is called as its header is', () => {
  expect(unpackedNames(['x.IMG', 'x.HDR'])).toEqual({ names: ['scan.img', 'scan.hdr'], header: 'scan.hdr' });
});

test('several headers are none', () => {
  expect(unpackedNames(['a.mhd', 'b.mhd'])).toEqual({ names: ['1', '2'], header: null });
});
