import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keepComponents } from '../../src/analysis/components.js';
import type { LabelMap, XYZ } from '../../src/data/scan/volume.js';

const GRID = { spacing: [1, 1, 1], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] } as const;
const maskOf = (size: XYZ, voxels: ArrayLike<number>): LabelMap => ({
  size,
  ...GRID,
  voxels: Uint8Array.from(voxels),
});

/** Components by flooding: the voxels of each. */
function flooded({ size: [w, h, d], voxels }: LabelMap): number[][] {
  const seen = new Set<number>();
  const components: number[][] = [];
  for (const [begin, label] of voxels.entries()) {
    if (label === 0 || seen.has(begin)) continue;
    const component = [begin];
    seen.add(begin);
    for (const at of component) {
      const [x, y, z] = [at % w, Math.floor(at / w) % h, Math.floor(at / (w * h))];
      for (let i = 0; i < 27; i++) {
        const [a, b, c] = [x - 1 + (i % 3), y - 1 + (Math.floor(i / 3) % 3), z - 1 + Math.floor(i / 9)];
        if (a < 0 || b < 0 || c < 0 || a >= w || b >= h || c >= d) continue;
        const next = a + w * (b + h * c);
        if (voxels[next] !== label || seen.has(next)) continue;
        seen.add(next);
        component.push(next);
      }
    }
    components.push(component);
  }
  return components;
}

describe('components of masks', () => {
  const masks = fc
    .tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 }))
    .chain((size) =>
      fc
        .array(fc.constantFrom(0, 0, 0, 1, 2), {
          minLength: size[0] * size[1] * size[2],
          maxLength: size[0] * size[1] * size[2],
        })
        .map((voxels) => maskOf(size, voxels)),
    );

  it('are those that flooding finds', () => {
    fc.assert(
      fc.property(masks, fc.boolean(), fc.integer({ min: 1, max: 5 }), (mask, largest, leastVoxels) => {
        const expected = mask.voxels.slice();
        const components = flooded(mask);
        for (const component of components) {
          const label = mask.voxels[component[0]!];
          const others = components.filter(([first]) => mask.voxels[first!] === label);
          const most = Math.max(...others.map(({ length }) => length));
          const chosen = others.find(({ length }) => length === most);
          if (component.length < leastVoxels || (largest && component !== chosen))
            for (const at of component) expected[at] = 0;
        }
        keepComponents(mask, { largest, leastVoxels });
        expect([...mask.voxels]).toEqual([...expected]);
      }),
      { numRuns: 500 },
    );
  });

  it('of two labels that touch at a corner do not cut each other', () => {
    const mask = maskOf([6, 2, 1], [2, 2, 2, 1, 1, 1, 1, 1, 1, 2, 2, 2]);
    keepComponents(mask, { largest: true, leastVoxels: 6 });
    expect([...mask.voxels]).toEqual([2, 2, 2, 1, 1, 1, 1, 1, 1, 2, 2, 2]);
  });
});
