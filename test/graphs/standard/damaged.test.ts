import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { type Attribute, GraphError, type Shape, type Value } from '../../../graphs/onnx/types.js';
import { translate } from '../../../graphs/standard/index.js';
import { noise } from '../run.js';
import { type NodeTest, nodeTests } from './cases.js';

/** An attribute with another value of its kind. */
function changed(attribute: Attribute, chance: number): Attribute {
  const other = Math.round(20 * chance - 10);
  switch (attribute.kind) {
    case 'int':
      return { kind: 'int', value: other };
    case 'ints':
      return { kind: 'ints', value: attribute.value.slice(1).map((v) => v + other) };
    case 'string':
      return { kind: 'string', value: 'unknown' };
    default:
      return { kind: 'int', value: other };
  }
}

/** A case with inputs left out, computed, or of other shapes, and with attributes left out or changed. */
function damagedRun({ node, inputs, opset }: NodeTest, seed: number): void {
  const chances = [...noise(64, seed, 0.5, 0.5)];
  const chance = () => chances.pop()!;
  const g = new GraphBuilder('damaged');
  const values = node.inputs.map((name, i): Value | null => {
    const tensor = inputs.get(name);
    if (!tensor) return null;
    const { type, shape } = tensor;
    const others: (Shape | null)[] = [null, shape, shape.slice(1), [...shape, 2], ['N', ...shape.slice(1)]];
    const at = Math.floor(12 * chance());
    if (at >= others.length) return g.constant(tensor);
    const other = others[at];
    return other ? g.input(`x${i}`, type, other) : null;
  });
  const attributes = Object.entries(node.attributes).flatMap(([name, attribute]) => {
    const draw = chance();
    if (draw < 0.1) return [];
    return [[name, draw < 0.3 ? changed(attribute, chance()) : attribute] as const];
  });
  translate(
    g,
    { ...node, attributes: Object.fromEntries(attributes) },
    chance() < 0.1 ? values.slice(1) : values,
    opset,
  );
}

test('whatever is wrong with a node is said, never a crash', () => {
  let refused = 0;
  for (const [i, nodeTest] of nodeTests.entries())
    for (let round = 0; round < 4; round++)
      try {
        damagedRun(nodeTest, 10 * i + round);
      } catch (error) {
        expect(error, nodeTest.name).toBeInstanceOf(GraphError);
        refused++;
      }
  expect(refused).toBeGreaterThan(nodeTests.length);
});

test('an attribute that is unknown is refused, not passed over', () => {
  const g = new GraphBuilder('g');
  const x = g.input('x', 'float32', [2, 3]);
  const attributes = { alpha: { kind: 'float' as const, value: 2 } };
  const node = { name: 'node', operator: 'Mish', domain: '', inputs: ['x'], outputs: ['y'], attributes };
  expect(() => translate(g, node, [x], 18)).toThrow('Mish at "node": attribute "alpha" is not supported');
});

test('an operator is refused in a version in which it meant something else', () => {
  const g = new GraphBuilder('g');
  const x = g.input('x', 'float32', [2, 3]);
  const node = { name: 'node', operator: 'Sign', domain: '', inputs: ['x'], outputs: ['y'], attributes: {} };
  expect(() => translate(g, node, [x], 8)).toThrow(
    'Sign at "node" is of operator set 8: it is understood from 9 on',
  );
});
