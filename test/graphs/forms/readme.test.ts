import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { forms } from '../../../graphs/forms/index.js';

const readme = readFileSync(new URL('../../../graphs/forms/README.md', import.meta.url), 'utf8');
/** Forms of several operators, `Conv: blocked` and `ConvRelu: blocked`, are told together. */
const named = new Set([...readme.matchAll(/\*\*`(\w+: \w+)`\*\*/g)].map(([, name]) => name!));

test('the table’s forms are those that the README tells, and no others', () => {
  const table = Object.entries(forms).flatMap(([operator, list]) =>
    Object.keys(list).map((form) => `${operator}: ${form}`),
  );
  // ONNX operators are their own definition, and up-sampling is told with its two gradients.
  const isTold = (name: string) =>
    /^(Add|Conv|ConvTranspose|MaxPool|Relu): plain$/.test(name) ||
    named.has(name.replace(/^UpsampleConv(Input|Weight)Grad/, 'UpsampleConv'));
  expect(table.filter((name) => !isTold(name))).toEqual([]);
  expect([...named].filter((name) => !table.includes(name))).toEqual([]);
});
