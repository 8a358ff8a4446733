import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { sizeOf } from '../../../graphs/onnx/types.js';
import { type LargeTensors, packed, packsOf, unpacked } from '../../../graphs/programs/packed.js';
import { noise, runGraph } from '../run.js';

const shapes = fc.array(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 4 }), {
  minLength: 1,
  maxLength: 12,
});
const membersOf = (list: readonly number[][]) => list.map((shape, i) => ({ name: `p${i}`, shape }));

const LARGE: readonly LargeTensors[] = ['single', 'packed'];

test('packs hold every member once, in their order, in whole rows', () => {
  fc.assert(
    fc.property(shapes, fc.constantFrom(...LARGE), (list, large) => {
      const members = membersOf(list);
      const packs = packsOf('all', members, large);
      expect(packs.flatMap((pack) => pack.members).sort(byNumber)).toEqual(members);
      for (const { members: own, shape } of packs) {
        const sizes = own.map((member) => sizeOf(member.shape));
        expect(sizeOf(shape)).toBe(sizes.reduce((sum, size) => sum + size, 0));
        if (own.length > 1) for (const size of sizes) expect(size % shape[1]!).toBe(0);
        expect(own).toEqual([...own].sort(byNumber));
      }
    }),
  );
});

const byNumber = (a: { name: string }, b: { name: string }) =>
  Number(a.name.slice(1)) - Number(b.name.slice(1));

test('a large tensor is by itself as it is, or with the other large ones', () => {
  const members = membersOf([[3], [128, 129], [4], [130, 128]]);
  const names = (large: LargeTensors) => packsOf('all', members, large).map(({ name }) => name);
  expect(names('single')).toEqual(['p1', 'p3', 'all.small']);
  expect(names('packed')).toEqual(['all.large', 'all.small']);
  expect(packsOf('all', members.slice(1, 2), 'packed')).toEqual([
    { name: 'p1', members: [members[1]], shape: [128, 129] },
  ]);
});

test.each(LARGE)('what is packed and unpacked is what it was, large tensors %s', async (large) => {
  const members = membersOf([[2, 3], [], [5], [128, 160], [4, 2, 1], [130, 160]]);
  for (const pack of packsOf('all', members, large)) {
    const g = new GraphBuilder('unpack');
    const parts = unpacked(g, g.input('all', 'float32', pack.shape), pack);
    for (const [name, value] of parts) g.output(name, value);
    g.output('again', packed(g, [...parts.values()], pack));
    const data = noise(sizeOf(pack.shape), 1);
    const out = await runGraph(g.build(), { all: { type: 'float32', shape: pack.shape, data } });
    expect(out.again!.data).toEqual(data);
    let at = 0;
    for (const { name, shape } of pack.members) {
      expect(out[name]!.shape).toEqual(shape);
      expect(out[name]!.data).toEqual(data.slice(at, at + sizeOf(shape)));
      at += sizeOf(shape);
    }
  }
});
