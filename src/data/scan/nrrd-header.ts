import type { ElementType } from './elements.js';
import { checkedGrid, checkOrthonormal, firstThree } from './scan.js';
import { unreadable } from './unreadable.js';
import type { Grid, XYZ } from './volume.js';

/** Values by the names of the fields, in lower case and without blanks: `spacedirections`. */
export type NrrdFields = ReadonlyMap<string, string>;

export interface NrrdText {
  readonly fields: NrrdFields;
  /** The fields as they stand in the file. */
  readonly shown: Readonly<Record<string, string>>;
  /** The byte behind the header: of the voxels, or of the list of their files. */
  readonly end: number;
}

/**
 * Reads `field: value` lines up to a blank one, or to `data file: LIST`. Comments and the user's `key:=value` are
 * passed over.
 */
export function parseNrrdText(path: string, bytes: Buffer): NrrdText {
  const fields = new Map<string, string>();
  const shown: Record<string, string> = {};
  let [end, first] = [0, true];
  while (end < bytes.length) {
    const newline = bytes.indexOf('\n', end);
    const line = bytes.toString('utf8', end, newline < 0 ? bytes.length : newline).replace(/\r$/, '');
    end = newline < 0 ? bytes.length : newline + 1;
    if (first && !/^NRRD\d{4}$/.test(line.trimEnd())) break;
    const field = /^([^:#][^:]*):(?!=)\s*(.*)$/.exec(line);
    if (field) {
      const [name, value] = [field[1]!.toLowerCase().replaceAll(/\s+/g, ''), field[2]!.trim()];
      fields.set(SYNONYMS.get(name) ?? name, value);
      shown[field[1]!.trim()] = value;
      if (name === 'datafile' && /^LIST\b/.test(value)) break;
    } else if (line.trim() === '') break;
    else if (!(first || line.startsWith('#') || line.includes(':='))) {
      throw unreadable(path, 'a line of the header is invalid', { got: line, expected: '`field: value`' });
    }
    first = false;
  }
  if (!first) return { fields, shown, end };
  throw unreadable(path, 'this is not an NRRD header', { expected: 'a first line such as NRRD0004' });
}

const SYNONYMS: ReadonlyMap<string, string> = new Map(Object.entries({ centers: 'centerings' }));

/** All names of the types; MetaIO's `char` is none of them, as it has no sign of its own. */
const ELEMENT_TYPES: ReadonlyMap<string, ElementType> = new Map(
  Object.entries({
    int8: ['signed char', 'int8', 'int8_t'],
    uint8: ['uchar', 'unsigned char', 'uint8', 'uint8_t'],
    int16: ['short', 'short int', 'signed short', 'signed short int', 'int16', 'int16_t'],
    uint16: ['ushort', 'unsigned short', 'unsigned short int', 'uint16', 'uint16_t'],
    int32: ['int', 'signed int', 'int32', 'int32_t'],
    uint32: ['uint', 'unsigned int', 'uint32', 'uint32_t'],
    int64: [
      'longlong',
      'long long',
      'long long int',
      'signed long long',
      'signed long long int',
      'int64',
      'int64_t',
    ],
    uint64: ['ulonglong', 'unsigned long long', 'unsigned long long int', 'uint64', 'uint64_t'],
    float32: ['float'],
    float64: ['double'],
  } satisfies Partial<Record<ElementType, string[]>>).flatMap(([type, names]) =>
    names.map((name): [string, ElementType] => [name, type as ElementType]),
  ),
);

export function parseNrrdType(path: string, fields: NrrdFields): ElementType {
  const given = fields.get('type');
  const type = ELEMENT_TYPES.get(given?.toLowerCase().replaceAll(/\s+/g, ' ') ?? '');
  if (type) return type;
  throw unreadable(path, 'the type of the voxels is missing or unknown', {
    got: `type: ${given ?? ''}`,
    expected: 'a number of 8 to 64 bits, such as short or float',
  });
}

/** The sign that turns each axis of the named space to left, posterior, superior. */
const SPACES: ReadonlyMap<string, XYZ> = new Map(
  Object.entries({
    'left-posterior-superior': [1, 1, 1],
    lps: [1, 1, 1],
    'right-anterior-superior': [-1, -1, 1],
    ras: [-1, -1, 1],
    'left-anterior-superior': [1, -1, 1],
    las: [1, -1, 1],
    // Of no known relation to the patient: taken as they are, as ITK does.
    'scanner-xyz': [1, 1, 1],
    '3d-right-handed': [1, 1, 1],
    '3d-left-handed': [1, 1, 1],
  }),
);

/** Millimetres of the units that are not millimetres. */
const UNIT_MM: ReadonlyMap<string, number> = new Map(Object.entries({ um: 1e-3, µm: 1e-3, cm: 10, m: 1000 }));

/** The header's list of sizes. */
export function parseSizes(path: string, fields: NrrdFields): number[] {
  const sizes = numbersOf(fields.get('sizes') ?? '');
  const dimension = Number(fields.get('dimension'));
  const whole = sizes.every((length) => Number.isSafeInteger(length) && length >= 1);
  if (whole && sizes.length === dimension && dimension <= MAX_DIMENSIONS) return sizes;
  throw unreadable(path, 'sizes is missing or invalid', {
    got: `dimension: ${fields.get('dimension') ?? ''}, sizes: ${fields.get('sizes') ?? ''}`,
    expected: 'as many sizes as dimensions, each at least 1',
  });
}

/** NRRD's own limit. */
const MAX_DIMENSIONS = 16;

const numbersOf = (text: string): number[] =>
  text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map(Number);

/** Size, place and orientation, in LPS mm. @throws UserError when the image is not one 3-D scan */
export function parseNrrdGrid(path: string, fields: NrrdFields, sizes: readonly number[]): Grid {
  const vectors = parseDirections(path, fields, sizes.length);
  const axes = spatialAxes(path, fields, sizes, vectors);
  const space = (fields.get('space') ?? 'LPS').toLowerCase();
  const signs = SPACES.get(space);
  if (!signs) {
    throw unreadable(path, 'this space is not supported', {
      got: `space: ${fields.get('space')}`,
      expected: 'left-posterior-superior, right-anterior-superior or left-anterior-superior',
    });
  }
  const units = [...(fields.get('spaceunits') ?? '').matchAll(/"([^"]*)"/g)].map(([, unit]) => unit!);
  const scale = signs.map((sign, world) => sign * (UNIT_MM.get(units[world] ?? '') ?? 1));
  const lps = (vector: readonly number[]) => firstThree(vector.map((value, world) => value * scale[world]!));
  const spacings = numbersOf(fields.get('spacings') ?? '');
  const steps = axes.map((axis, i) =>
    vectors ? lps(vectors[axis]!) : along(i, Number.isFinite(spacings[axis]) ? spacings[axis]! : 1),
  );
  const lengths = firstThree(steps.map((step) => Math.hypot(...step)));
  const directions = steps.map((step, i) => firstThree(step.map((mm) => mm / lengths[i]!)));
  const origin = vectorsOf(fields.get('spaceorigin') ?? '')[0];
  const mins = numbersOf(fields.get('axismins') ?? '');
  const centerings = (fields.get('centerings') ?? '').split(/\s+/);
  // Of samples that are not said to lie at nodes, as other programs take it.
  const firstAlong = (axis: number, length: number) =>
    Number.isFinite(mins[axis]) ? mins[axis]! + (centerings[axis] === 'node' ? 0 : length / 2) : 0;
  const grid = {
    size: firstThree(axes.map((axis) => sizes[axis]!)),
    spacing: lengths,
    origin:
      origin?.length === 3
        ? lps(origin)
        : firstThree(axes.map((axis, i) => (vectors ? 0 : firstAlong(axis, lengths[i]!)))),
    direction: [0, 1, 2].flatMap((world) => directions.map((direction) => direction[world]!)),
  };
  const checked = checkedGrid(path, grid);
  checkOrthonormal(path, 'space directions', directions);
  return checked;
}

/** A vector along an axis of the world. */
const along = (axis: number, mm: number): XYZ =>
  firstThree([0, 1, 2].map((world) => (world === axis ? mm : 0)));

/** `(x,y,z)` and `none`, which is null, also when it is written as numbers that are none. */
const vectorsOf = (text: string): (number[] | null)[] =>
  [...text.matchAll(/none|\(([^)]*)\)/gi)].map(([, inside]) => {
    const vector = inside === undefined ? null : numbersOf(inside);
    return vector?.every(Number.isNaN) ? null : vector;
  });

/** The vector of each axis, or null without the field. */
function parseDirections(path: string, fields: NrrdFields, dimension: number): (number[] | null)[] | null {
  const text = fields.get('spacedirections');
  if (text === undefined) return null;
  const vectors = vectorsOf(text);
  if (vectors.length === dimension && vectors.every((vector) => vector === null || vector.length === 3))
    return vectors;
  throw unreadable(path, 'space directions is invalid', {
    got: `space directions: ${text}`,
    expected: `${dimension} vectors of 3 numbers, or none`,
  });
}

/** What axes of space are called. */
const SPATIAL_KINDS = ['domain', 'space', '???', 'none'];

/** Which three of the axes are those of space; the others must have length 1. */
function spatialAxes(
  path: string,
  fields: NrrdFields,
  sizes: readonly number[],
  vectors: (number[] | null)[] | null,
): number[] {
  const kinds = (fields.get('kinds') ?? '').split(/\s+/);
  const named = (axis: number) => SPATIAL_KINDS.includes(kinds[axis]?.toLowerCase() || 'domain');
  const all = [...sizes.keys()];
  const spatial = all.filter((axis) => (vectors ? vectors[axis] !== null : named(axis)));
  while (spatial.length > 3 && sizes[spatial.at(-1)!] === 1) spatial.pop();
  const rest = all.filter((axis) => !spatial.includes(axis));
  if (spatial.length === 3 && rest.every((axis) => sizes[axis] === 1)) return spatial;
  throw unreadable(path, 'this is not one three-dimensional grey-level scan', {
    got: `sizes: ${sizes.join(' ')}${fields.has('kinds') ? `, kinds: ${fields.get('kinds')}` : ''}`,
    expected: '3 axes in space; any further axes, as of colours, vectors or time, of length 1',
    fix: 'save one 3D scan per file',
  });
}
