import type { ElementType } from './elements.js';
import { checkedGrid, checkOrthonormal, firstThree } from './scan.js';
import { unreadable } from './unreadable.js';
import type { Grid } from './volume.js';

/** MetaIO's names; its "long" has 4 bytes on every system. */
export const ELEMENT_TYPES: ReadonlyMap<string, ElementType> = new Map([
  ['MET_CHAR', 'int8'],
  ['MET_UCHAR', 'uint8'],
  ['MET_SHORT', 'int16'],
  ['MET_USHORT', 'uint16'],
  ['MET_INT', 'int32'],
  ['MET_UINT', 'uint32'],
  ['MET_LONG', 'int32'],
  ['MET_ULONG', 'uint32'],
  ['MET_LONG_LONG', 'int64'],
  ['MET_ULONG_LONG', 'uint64'],
  ['MET_FLOAT', 'float32'],
  ['MET_DOUBLE', 'float64'],
]);

export type Fields = Readonly<Record<string, string>>;

/**
 * Reads `Key = Value` lines up to `ElementDataFile`, the last one; LOCAL data, or the list of data files, begin at byte
 * `end`. Blank lines and comments, which begin with `#`, are passed over; `:` does for `=`.
 */
export function parseFields(path: string, bytes: Buffer): { fields: Fields; end: number } {
  const fields: Record<string, string> = {};
  let broken: string | undefined;
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf('\n', start);
    const end = newline < 0 ? bytes.length : newline + 1;
    const line = bytes.toString('utf8', start, end).trim();
    start = end;
    if (line === '' || line.startsWith('#')) continue;
    // ITK writes keys such as `dim[0]`, too.
    const separator = line.search(/[=:]/);
    if (separator < 1) {
      if (fields.ObjectType ?? fields.NDims) broken = line;
      break;
    }
    const key = line.slice(0, separator).trim();
    fields[key] = line.slice(separator + 1).trim();
    if (key === 'ElementDataFile') return { fields, end };
  }
  throw unreadable(path, 'this is not a MetaImage header', {
    got: broken,
    expected: 'lines of `Key = Value`, ending with `ElementDataFile = …`',
  });
}

export function isTrue(value: string | undefined): boolean {
  return /^(t|1)/i.test(value ?? '');
}

export function parseElementType(path: string, fields: Fields): ElementType {
  if (fields.BinaryData !== undefined && !isTrue(fields.BinaryData)) {
    throw unreadable(path, 'voxels stored as text are not supported', { expected: 'BinaryData = True' });
  }
  if (Number(fields.ElementNumberOfChannels ?? 1) !== 1) {
    throw unreadable(path, 'colour and vector images are not scans', {
      got: `ElementNumberOfChannels = ${fields.ElementNumberOfChannels}`,
      expected: '1 channel',
    });
  }
  const type = ELEMENT_TYPES.get(fields.ElementType ?? '');
  if (!type) {
    throw unreadable(path, 'the element type is missing or unknown', {
      got: `ElementType = ${fields.ElementType ?? ''}`,
      expected: [...ELEMENT_TYPES.keys()].join(', '),
    });
  }
  return type;
}

export function parseGrid(path: string, fields: Fields): Grid {
  const dimensions = Number(fields.NDims);
  const flat = dimensions === 4 && /\s1$/.test(fields.DimSize ?? '');
  if (dimensions !== 3 && !flat) {
    throw unreadable(path, 'the image is not three-dimensional', {
      got: `NDims = ${fields.NDims}, DimSize = ${fields.DimSize}`,
      expected: 'NDims = 3',
      fix: 'save one 3D scan per file',
    });
  }
  // A key goes by several names; the first one that is there counts.
  const numbers = (names: readonly string[], count: number, otherwise?: readonly number[]) => {
    const name = names.find((key) => fields[key] !== undefined);
    if (name === undefined && otherwise) return otherwise;
    const values = (fields[name ?? ''] ?? '')
      .split(/\s+/)
      .map((word) => (word === '' ? Number.NaN : Number(word)));
    if (values.length !== count || !values.every(Number.isFinite)) {
      throw unreadable(path, `${names[0]} is missing or invalid`, {
        got: `${name ?? names[0]} = ${fields[name ?? ''] ?? ''}`,
        expected: `${count} numbers`,
      });
    }
    return values;
  };
  const identity = Array.from({ length: dimensions ** 2 }, (_, i) => (i % (dimensions + 1) === 0 ? 1 : 0));
  const matrix = numbers(['TransformMatrix', 'Rotation', 'Orientation'], dimensions ** 2, identity);
  const axes = [0, 1, 2].map((i) => firstThree(matrix.slice(i * dimensions)));
  checkOrthonormal(path, 'TransformMatrix', axes);
  // A negative spacing turns its axis round, as ITK has it: all voxels stay where they are.
  const spacing = firstThree(numbers(['ElementSpacing', 'ElementSize'], dimensions, [1, 1, 1]));
  const sign = spacing.map((mm) => (mm < 0 ? -1 : 1));
  return checkedGrid(path, {
    size: firstThree(numbers(['DimSize'], dimensions)),
    spacing: firstThree(spacing.map(Math.abs)),
    origin: firstThree(numbers(['Offset', 'Position', 'Origin'], dimensions, [0, 0, 0])),
    // The file has the direction of voxel axis i in row i; a grid has it in column i.
    direction: [0, 1, 2].flatMap((world) => axes.map((axis, i) => axis[world]! * sign[i]!)),
  });
}
