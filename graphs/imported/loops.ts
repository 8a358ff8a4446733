/** Loops that run so often as is known: their turns, one behind the other. */
import type { Graph, Node, Tensor } from '../onnx/types.js';
import { vector } from './numbers.js';

/** Nodes that one loop may become. */
const MOST_NODES = 10_000;

/** The graph that turns are added to. */
interface Around {
  readonly opset: number;
  readonly constants: Map<string, Tensor>;
  /** Undefined where it is not known. */
  readonly shapeOf: (name: string) => readonly number[] | undefined;
  /** Gives values inside a node names of their own. */
  readonly innerNames: (node: Node) => (inner: string) => string;
  /** Adds the nodes of a body, whose inputs stand for other values. @returns the names of its outputs */
  readonly addBody: (
    body: Graph,
    innerNameOf: (inner: string) => string,
    given: ReadonlyMap<string, string>,
  ) => readonly string[];
  readonly addNode: (node: Node) => void;
}

/** Adds nodes with one output. */
const adder =
  ({ addNode }: Around) =>
  (operator: string, inputs: readonly string[], output: string, attributes: Node['attributes'] = {}) => {
    addNode({ name: output, operator, domain: '', inputs, outputs: [output], attributes });
    return output;
  };

/** Adds values as one, with a new axis. @param name that it stands for @returns its own */
function stacked(around: Around, node: Node, name: string, values: readonly string[], axis = 0): string {
  const innerNameOf = around.innerNames({ ...node, name: `${name}/stacked` });
  const add = adder(around);
  const axes = innerNameOf('axes');
  around.constants.set(axes, vector('int64', [axis]));
  const parts = values.map((value, i) => {
    const part = innerNameOf(String(i));
    // An attribute in older versions, an input in newer ones.
    if (around.opset < 13) return add('Unsqueeze', [value], part, { axes: { kind: 'ints', value: [axis] } });
    return add('Unsqueeze', [value, axes], part);
  });
  return add('Concat', parts, innerNameOf('whole'), { axis: { kind: 'int', value: axis } });
}

/** Gives the values of a turn names of their own. */
const turnNames = (around: Around, node: Node, turn: number) =>
  around.innerNames({ ...node, name: `${node.name || node.outputs[0]}/${turn}` });

const index = (i: number): Tensor => ({ type: 'int64', shape: [], data: BigInt64Array.of(BigInt(i)) });

/** Adds all turns of a Loop. @returns as {@link unrolled} */
function unrolledLoop(node: Node, around: Around): readonly string[] | null {
  const { body } = node.attributes;
  const [limit = '', condition = '', ...first] = node.inputs;
  const { constants } = around;
  const most = constants.get(limit);
  if (body?.kind !== 'graph' || (limit !== '' && !most)) return null;
  const { inputs, nodes } = body.value;
  // Without a limit only the condition ends it.
  const turns = most ? Number(most.data[0]) : Number.POSITIVE_INFINITY;
  /** Undefined where that depends on the data. */
  const isOn = (name: string): boolean | undefined => {
    const known = constants.get(name);
    return known && Number(known.data[0]) !== 0;
  };
  let goesOn = condition === '' ? true : isOn(condition);
  let carried: readonly string[] = first;
  const scanned: (readonly string[])[] = [];
  for (let turn = 0; goesOn && turn < turns; turn++) {
    if (turn * Math.max(nodes.length, 1) > MOST_NODES) return null;
    const innerNameOf = turnNames(around, node, turn);
    const given = new Map(inputs.map(({ name }, i) => [name, i < 2 ? innerNameOf(name) : carried[i - 2]!]));
    const [number, on] = inputs.map(({ name }) => given.get(name)!) as [string, string];
    constants.set(number, index(turn));
    constants.set(on, { type: 'bool', shape: [], data: Uint8Array.of(1) });
    const [next, ...made] = around.addBody(body.value, innerNameOf, given);
    goesOn = isOn(next!);
    carried = made.slice(0, first.length);
    scanned.push(made.slice(first.length));
  }
  const scans = node.outputs.slice(first.length);
  if (goesOn === undefined || (scans.length > 0 && scanned.length === 0)) return null;
  return [
    ...carried,
    ...scans.map((name, i) =>
      stacked(
        around,
        node,
        name,
        scanned.map((made) => made[i]!),
      ),
    ),
  ];
}

/**
 * Adds all turns of a Scan, each with a slice of tensors.
 * @returns as {@link unrolled}
 */
function unrolledScan(node: Node, around: Around): readonly string[] | null {
  const { body, num_scan_inputs: count } = node.attributes;
  if (body?.kind !== 'graph' || count?.kind !== 'int' || around.opset < BATCHLESS_SCAN) return null;
  const states = node.inputs.length - count.value;
  const list = (name: string, i: number): number => {
    const attribute = node.attributes[name];
    return (attribute?.kind === 'ints' ? attribute.value[i] : undefined) ?? 0;
  };
  const read = node.inputs.slice(states).map((name, i) => {
    const shape = around.shapeOf(name);
    const axis = list('scan_input_axes', i);
    return { name, axis, length: shape?.at(axis), isBackward: list('scan_input_directions', i) === 1 };
  });
  const turns = read[0]?.length;
  if (!turns || turns * body.value.nodes.length > MOST_NODES) return null;
  if (read.some(({ length }) => length !== turns)) return null;
  const add = adder(around);
  let carried: readonly string[] = node.inputs.slice(0, states);
  const scanned: (readonly string[])[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const innerNameOf = turnNames(around, node, turn);
    const slices = read.map(({ name, axis, isBackward }, i) => {
      const at = innerNameOf(`index${i}`);
      around.constants.set(at, index(isBackward ? turns - 1 - turn : turn));
      return add('Gather', [name, at], innerNameOf(`slice${i}`), { axis: { kind: 'int', value: axis } });
    });
    const given = new Map(body.value.inputs.map(({ name }, i) => [name, [...carried, ...slices][i]!]));
    const made = around.addBody(body.value, innerNameOf, given);
    carried = made.slice(0, states);
    scanned.push(made.slice(states));
  }
  const scans = node.outputs.slice(states).map((name, i) => {
    const values = scanned.map((made) => made[i]!);
    const isBackward = list('scan_output_directions', i) === 1;
    return stacked(around, node, name, isBackward ? values.reverse() : values, list('scan_output_axes', i));
  });
  return [...carried, ...scans];
}

/** Since this version of the standard, a Scan has no batches. */
const BATCHLESS_SCAN = 9;

/**
 * Adds all turns of a Loop or a Scan.
 * @returns the names of what its outputs are made as; null where it is not known how often it runs, or that is too often
 */
export const unrolled = (node: Node, around: Around): readonly string[] | null =>
  node.operator === 'Scan' ? unrolledScan(node, around) : unrolledLoop(node, around);
