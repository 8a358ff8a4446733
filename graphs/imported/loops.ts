/** Loops that run so often as is known: their turns, one behind the other. */
import type { Graph, Node, Tensor } from '../onnx/types.js';
import { vector } from './numbers.js';

/** Nodes that one loop may become. */
const MOST_NODES = 10_000;

/** The graph that turns are added to. */
interface Around {
  readonly opset: number;
  readonly constants: Map<string, Tensor>;
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

/** Adds values as one, with a new first axis. @param name that it stands for @returns its own */
function stacked(around: Around, node: Node, name: string, values: readonly string[]): string {
  const innerNameOf = around.innerNames({ ...node, name: `${name}/stacked` });
  const add = (
    operator: string,
    inputs: readonly string[],
    output: string,
    attributes: Node['attributes'] = {},
  ) => around.addNode({ name: output, operator, domain: '', inputs, outputs: [output], attributes });
  const axes = innerNameOf('axes');
  around.constants.set(axes, vector('int64', [0]));
  const parts = values.map((value, i) => {
    const part = innerNameOf(String(i));
    // An attribute in older versions, an input in newer ones.
    if (around.opset < 13) add('Unsqueeze', [value], part, { axes: { kind: 'ints', value: [0] } });
    else add('Unsqueeze', [value, axes], part);
    return part;
  });
  const whole = innerNameOf('whole');
  add('Concat', parts, whole, { axis: { kind: 'int', value: 0 } });
  return whole;
}

/**
 * Adds all turns of a Loop.
 * @returns the names of what its outputs are made as; null where it is not known how often it runs, or that is too often
 */
export function unrolled(node: Node, around: Around): readonly string[] | null {
  const { body } = node.attributes;
  const [limit = '', condition = '', ...first] = node.inputs;
  const { constants } = around;
  const most = constants.get(limit);
  if (body?.kind !== 'graph' || !most) return null;
  const { inputs, nodes } = body.value;
  const turns = Number(most.data[0]);
  /** Undefined where that depends on the data. */
  const isOn = (name: string): boolean | undefined => {
    const known = constants.get(name);
    return known && Number(known.data[0]) !== 0;
  };
  let goesOn = condition === '' ? true : isOn(condition);
  let carried: readonly string[] = first;
  const scanned: (readonly string[])[] = [];
  for (let turn = 0; goesOn && turn < turns; turn++) {
    if (turn * nodes.length > MOST_NODES) return null;
    const innerNameOf = around.innerNames({ ...node, name: `${node.name || node.outputs[0]}/${turn}` });
    const given = new Map(inputs.map(({ name }, i) => [name, i < 2 ? innerNameOf(name) : carried[i - 2]!]));
    const [number, on] = inputs.map(({ name }) => given.get(name)!) as [string, string];
    constants.set(number, { type: 'int64', shape: [], data: BigInt64Array.of(BigInt(turn)) });
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
