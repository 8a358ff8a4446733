import { expect, test } from 'vitest';
import { archiveNames } from '../../page/archive-names.js';

test('names are sent only where a header needs them', () => {
  expect(archiveNames(['Doe^Jane 1.dcm', 'Doe^Jane 2.dcm'])).toEqual(['1', '2']);
  for (const name of ['scan.mhd', 'scan.NHDR', 'scan.hdr'])
    expect(archiveNames(['scan.raw', name])).toEqual(['scan.raw', name]);
  // Of no use to the service, which numbers these files itself.
  expect(archiveNames(['Doe^Jane.dcm', '._x.hdr'])).toEqual(['1', '2']);
  expect(archiveNames(['a.hdr', 'b.hdr', 'a.img'])).toEqual(['1', '2', '3']);
});
