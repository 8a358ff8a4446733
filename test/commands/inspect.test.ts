import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { niftiHeader } from '../data/scan/samples.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const PLANTED = ['DOE^JANE', '19500123'];

/** A NIfTI header with texts from the given bytes on. */
function nifti(version: 1 | 2, texts: Readonly<Record<number, string>>): Uint8Array {
  const bytes = Buffer.from(niftiHeader({ version }));
  for (const [at, text] of Object.entries(texts)) bytes.write(text, Number(at), 'latin1');
  return bytes;
}

const meta = (more: string) =>
  `ObjectType = Image\nNDims = 3\nDimSize = 2 2 1\nElementType = MET_SHORT\nModality = MET_MOD_CT\n${more}ElementDataFile = LOCAL\n`;
const nrrd = (more: string) =>
  `NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 1\nendian: little\nencoding: raw\nSpace Units: "mm" "mm" "mm"\n${more}\n`;

/** What a scan is said to be, in words and in JSON. */
async function inspected(name: string, content: string | Uint8Array) {
  const path = join(folder, name);
  writeFileSync(path, content);
  const text = await p2wHere(['inspect', path]);
  const json = await p2wHere(['inspect', path, '--json']);
  return { text: text.stdout, json: json.stdout };
}

describe('p2w inspect shows technical fields of a scan, and says how many others there are', () => {
  test.each<[string, string | Uint8Array, string, string]>([
    [
      'itk.mha',
      meta('0010|0010 = DOE^JANE\n0010|0030 = 19500123\nComment = DOE^JANE\n'),
      'Modality: MET_MOD_CT',
      '3 other fields are not shown',
    ],
    ['a.nrrd', nrrd('content: DOE^JANE\n'), 'Space Units: "mm"', '1 other field is not shown'],
    [
      'one.nii',
      nifti(1, { 148: 'DOE^JANE', 228: '19500123', 328: 'DOE^JANE' }),
      'dims: 3 5 4 3 1',
      '3 other fields are not shown',
    ],
    ['two.nii', nifti(2, { 240: 'DOE^JANE', 508: '19500123' }), 'dims: 3 5 4 3 1', '2 other fields are'],
  ])('%s', async (name, content, shown, others) => {
    const { text, json } = await inspected(name, content);
    for (const planted of PLANTED) expect(text + json).not.toContain(planted);
    expect(text).toContain(shown);
    for (const said of [text, json]) expect(said).toContain(others);
    expect(JSON.parse(json).facts.header).toEqual(expect.any(Object));
  });

  test('nothing where there are none', async () => {
    for (const [name, content] of [
      ['bare.mha', meta('')],
      ['bare.nii', nifti(1, {})],
    ] as const)
      expect((await inspected(name, content)).text).not.toContain('shown');
  });
});

test('a folder of scans with a manifest.json of something else holds scans, and is no broken store', async () => {
  const scans = join(folder, 'others');
  mkdirSync(scans);
  writeFileSync(join(scans, 'a.nii'), nifti(1, {}));
  writeFileSync(join(scans, 'manifest.json'), '{"name":"my data"}');
  const { code, stdout } = await p2wHere(['inspect', scans, '--json']);
  expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ kind: 'scan' })]);
  const pretrained = await p2wHere(['pretrain', '--data', scans, '--out', join(folder, 'run')]);
  expect(pretrained.stderr).toMatch(/contains no tiles[\s\S]*another manifest\.json/);
  expect(pretrained.stderr).not.toContain('delete');
});
