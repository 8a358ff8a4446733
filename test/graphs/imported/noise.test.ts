import { describe, expect, test } from 'vitest';
import { exportTrained } from '../../../graphs/imported/export-trained.js';
import { examineModel, type ImportedModel, importModel } from '../../../graphs/imported/import-model.js';
import { DROPOUT_SEED } from '../../../graphs/imported/network.js';
import { importedObjective } from '../../../graphs/objectives/imported.js';
import { decodeModel } from '../../../graphs/onnx/schema.js';
import { type Node, type Tensor, TYPE_CODES } from '../../../graphs/onnx/types.js';
import { evaluationGraph } from '../../../graphs/programs/evaluation.js';
import { forwardGraph } from '../../../graphs/programs/training.js';
import { nodeEngine } from '../../../src/runtime/node.js';
import { initialize } from '../../../src/weights/initialize.js';
import { noise, relativeError, runGraph } from '../run.js';
import { integers, modelOf, node, value, weight } from './models.js';

const ROWS = 400;
const KEEP = 0.8;
const number = (of: number): Tensor => ({ type: 'float32', shape: [], data: Float32Array.of(of) });
const toFloat = { to: { kind: 'int', value: TYPE_CODES.float32 } } as const;

/** y = h + f(b), where h = x·W and b = h·V, and f is made of nodes that turn `b` into `z`. */
const network = (nodes: readonly Node[]) =>
  modelOf({
    inputs: [value('x', ['N', 3])],
    outputs: ['y'],
    nodes: [
      node('MatMul', ['x', 'W'], ['h']),
      node('MatMul', ['h', 'V'], ['b']),
      ...nodes,
      node('Add', ['h', 'z'], ['y']),
    ],
    tensors: {
      ...{ W: weight([3, 4], 1), V: weight([4, 4], 2), keep: number(KEEP), half: number(0.5) },
      ...{ tenth: number(0.1), one: integers(1), zero: integers(0), two: integers(2) },
    },
  });
const rowsOf = [
  node('Shape', ['b'], ['sizes']),
  node('Slice', ['sizes', 'zero', 'one'], ['rows']),
  node('Concat', ['rows', 'one'], ['shape'], { axis: { kind: 'int', value: 0 } }),
  node('ConstantOfShape', ['shape'], ['zeros']),
];
const drawn = [...rowsOf, node('RandomUniformLike', ['zeros'], ['u'])];

/** As PyTorch's exporters write drop-connect and stochastic depth. */
const DROPPING: readonly (readonly [name: string, nodes: readonly Node[]])[] = [
  [
    'the floor of a sum',
    [
      ...drawn,
      node('Add', ['u', 'keep'], ['sum']),
      node('Floor', ['sum'], ['mask']),
      node('Div', ['b', 'keep'], ['scaled']),
      node('Mul', ['scaled', 'mask'], ['z']),
    ],
  ],
  [
    'a comparison',
    [
      ...drawn,
      node('Less', ['u', 'keep'], ['below']),
      node('CastLike', ['below', 'b'], ['mask']),
      node('Div', ['mask', 'keep'], ['scale']),
      node('Mul', ['b', 'scale'], ['z']),
    ],
  ],
  [
    'a comparison the other way',
    [
      ...drawn,
      node('Greater', ['keep', 'u'], ['below']),
      node('Cast', ['below'], ['mask'], toFloat),
      node('Mul', ['b', 'mask'], ['dropped']),
      node('Div', ['dropped', 'keep'], ['z']),
    ],
  ],
  [
    'Bernoulli',
    [
      ...rowsOf,
      node('Expand', ['keep', 'shape'], ['chances']),
      node('Bernoulli', ['chances'], ['mask']),
      node('Div', ['mask', 'keep'], ['scale']),
      node('Mul', ['b', 'scale'], ['z']),
    ],
  ],
];
const ADDING: readonly (readonly [name: string, nodes: readonly Node[]])[] = [
  [
    'normal noise',
    [
      node('RandomNormalLike', ['b'], ['n']),
      node('Mul', ['n', 'tenth'], ['small']),
      node('Add', ['small', 'b'], ['z']),
    ],
  ],
  [
    'uniform noise',
    [
      node('RandomUniformLike', ['b'], ['u']),
      node('Sub', ['u', 'half'], ['even']),
      node('Add', ['b', 'even'], ['z']),
    ],
  ],
];
const plain = importModel(network([node('Identity', ['b'], ['z'])]), { inputs: { x: [ROWS, 3] } });

const x = { type: 'float32', shape: [ROWS, 3], data: noise(3 * ROWS, 5) } as const;
const outputs = (model: ImportedModel) =>
  importedObjective(model, {
    loss: (_, { y }) => ({ loss: () => y!, outputs: () => ({ y: y! }) }),
  });

/** The output in training with a seed, or in evaluation without one. */
async function run(model: ImportedModel, seed?: number): Promise<Float32Array> {
  const { graph, parameters } =
    seed === undefined ? evaluationGraph(outputs(model)) : forwardGraph(outputs(model));
  const first = initialize(parameters, 1);
  const state = parameters.map(
    ({ name, shape }) => [name, { type: 'float32', shape, data: first.get(name)! }] as const,
  );
  const seeds = {
    [DROPOUT_SEED]: { type: 'int64', shape: [], data: BigInt64Array.of(BigInt(seed ?? 0)) },
  } as const;
  const found = await runGraph(graph, {
    ...Object.fromEntries(state),
    x,
    ...(seed === undefined ? {} : seeds),
  });
  return Object.values(found)[0]!.data as Float32Array;
}

describe.each([...DROPPING, ...ADDING])('%s', (_, nodes) => {
  const bytes = network(nodes);
  const model = importModel(bytes, { inputs: { x: [ROWS, 3] } });

  test('differs from seed to seed, and not between runs, and trains the same weights', async () => {
    expect(model.report.trained.map(({ name }) => name)).toEqual(['W', 'V']);
    const [a, again, b] = [await run(model, 1), await run(model, 1), await run(model, 2)];
    expect(again).toEqual(a);
    expect(b).not.toEqual(a);
  });

  test('is off in evaluation, and in the file that is written', async () => {
    const expected = await run(plain);
    expect(relativeError(await run(model), expected)).toBeLessThan(1e-6);
    const weights = new Map(model.parameters.map(({ name, values }) => [name, values]));
    const written = exportTrained(bytes, model, weights);
    expect(decodeModel(written).graph.nodes.some(({ operator }) => /^Random|Bernoulli/.test(operator))).toBe(
      false,
    );
    const session = await nodeEngine.load(written, { threads: 1 });
    const { y } = await session.run({ x });
    await session.release();
    expect(relativeError(y!.data as Float32Array, expected)).toBeLessThan(1e-6);
  });
});

test.each(DROPPING)('%s keeps as many rows as it says, larger by the rest', async (_, nodes) => {
  const model = importModel(network(nodes), { inputs: { x: [ROWS, 3] } });
  const [found, whole] = [await run(model, 3), await run(plain)];
  const inner = await run(
    importModel(network([node('Sub', ['b', 'b'], ['z'])]), { inputs: { x: [ROWS, 3] } }),
  );
  let kept = 0;
  for (let row = 0; row < ROWS; row++) {
    const at = 4 * row;
    const ratio = (found[at]! - inner[at]!) / (whole[at]! - inner[at]!);
    const isKept = Math.abs(ratio - 1 / KEEP) < 1e-2;
    expect(isKept || Math.abs(ratio) < 1e-2, `row ${row}: ${ratio}`).toBe(true);
    kept += Number(isKept);
  }
  // Five standard deviations.
  expect(Math.abs(kept / ROWS - KEEP)).toBeLessThan(5 * Math.sqrt((KEEP * (1 - KEEP)) / ROWS));
});

test.each<[string, readonly Node[], RegExp]>([
  [
    'what is not linear',
    [...drawn, node('Exp', ['u'], ['e']), node('Mul', ['b', 'e'], ['z'])],
    /masks of ones and zeros/,
  ],
  [
    'chances that are computed',
    [node('Sigmoid', ['b'], ['p']), node('Bernoulli', ['p'], ['m']), node('Mul', ['b', 'm'], ['z'])],
    /stored number/,
  ],
  ['choices', [node('Multinomial', ['b'], ['m']), node('Mul', ['b', 'm'], ['z'])], /random choices/],
])('%s cannot be turned off, which is said', (_, nodes, reason) => {
  const { unsupported } = examineModel(network(nodes), { inputs: { x: [ROWS, 3] } });
  expect(unsupported).toHaveLength(1);
  expect(unsupported[0]!.reason).toMatch(reason);
});
