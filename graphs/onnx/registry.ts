/** Finds an operator by what a node says of it: domain, name, and the version of the operator set it is written in. */
import { type OperatorName, operators, type StandardName } from './ops/index.js';
import { type Graph, GraphError, type Node, type Opsets } from './types.js';

/**
 * The version of the standard that graphs are written in. Reduce operators take their axes as an input from here on;
 * ONNX Runtime's training builds know up to 21.
 */
export const OPSET = 18;

/** The version of the standard from which on each operator means what its rule here says. */
const SINCE: Readonly<Record<StandardName, number>> = {
  Abs: 6,
  Acos: 7,
  Acosh: 9,
  Add: 7,
  And: 7,
  Asin: 7,
  Asinh: 9,
  Atan: 7,
  Atanh: 9,
  AveragePool: 7,
  Cast: 6,
  Ceil: 6,
  Clip: 11,
  Concat: 4,
  Conv: 1,
  ConvTranspose: 1,
  Cos: 7,
  Cosh: 9,
  CumSum: 11,
  DequantizeLinear: 13,
  Div: 7,
  Einsum: 12,
  Elu: 6,
  Equal: 7,
  Erf: 9,
  Exp: 6,
  Expand: 8,
  Floor: 6,
  Gather: 1,
  GatherElements: 11,
  GatherND: 11,
  Gemm: 7,
  GlobalAveragePool: 1,
  Greater: 7,
  GreaterOrEqual: 12,
  Identity: 1,
  If: 1,
  LeakyRelu: 6,
  Less: 7,
  LessOrEqual: 12,
  Log: 6,
  LogSoftmax: 13,
  Loop: 1,
  MatMul: 1,
  Max: 8,
  MaxPool: 1,
  Min: 8,
  Mod: 10,
  Mul: 7,
  Neg: 6,
  Not: 1,
  Or: 7,
  Pad: 11,
  Pow: 7,
  QuantizeLinear: 13,
  Reciprocal: 6,
  ReduceLogSumExp: 18,
  ReduceMax: 18,
  ReduceMean: 18,
  ReduceMin: 18,
  ReduceProd: 18,
  ReduceSum: 13,
  ReduceSumSquare: 18,
  Relu: 6,
  Reshape: 5,
  Resize: 11,
  Round: 11,
  ScatterElements: 11,
  ScatterND: 11,
  Sigmoid: 6,
  Sign: 9,
  Sin: 7,
  Sinh: 9,
  Slice: 10,
  Softmax: 13,
  Softplus: 1,
  Split: 13,
  Sqrt: 6,
  Squeeze: 13,
  Sub: 7,
  Tan: 7,
  Tanh: 6,
  TopK: 11,
  Transpose: 1,
  Unsqueeze: 13,
  Where: 9,
  Xor: 7,
};

const identity = (domain: string, name: string) => `${domain}:${name}`;
const byIdentity: ReadonlyMap<string, OperatorName> = new Map(
  (Object.keys(operators) as OperatorName[]).map((name) => {
    const { domain, opType = name } = operators[name] as { domain: string; opType?: string };
    return [identity(domain, opType), name];
  }),
);

/** The operator of a node, as it is called here; `undefined` for one that is unknown. */
export const findOperator = ({ domain, operator }: Node): OperatorName | undefined =>
  byIdentity.get(identity(domain, operator));

/** How messages speak of a node. */
export const describeNode = ({ domain, operator, name, outputs }: Node): string =>
  `${domain === '' ? operator : `${domain}:${operator}`} at "${name || outputs[0]}"`;

/**
 * The operator of a node, as it is called here.
 * @param opsets of the graph, where it was read from a file
 * @throws GraphError for an operator that is unknown, or that meant something else in that version
 */
export function operatorOf(node: Node, opsets?: Opsets): OperatorName {
  const found = findOperator(node);
  if (!found) throw new GraphError(`${describeNode(node)} is an unknown operator`);
  const since = SINCE[found as StandardName] ?? 1;
  const version = opsets ? opsets[node.domain] : OPSET;
  if (node.domain === '' && (version ?? 1) < since)
    throw new GraphError(
      `${describeNode(node)} is of operator set ${version ?? 1}: it is understood from ${since} on`,
    );
  return found;
}

/** The bodies of a node such as a Loop. */
export function bodiesOf({ attributes }: Node): Graph[] {
  const bodies: Graph[] = [];
  for (const name in attributes) {
    const attribute = attributes[name]!;
    if (attribute.kind === 'graph') bodies.push(attribute.value);
  }
  return bodies;
}

/** @throws GraphError as {@link operatorOf}, for every node of a graph and its bodies */
export function checkOperators({ nodes }: Graph, opsets?: Opsets): void {
  for (const node of nodes) {
    operatorOf(node, opsets);
    for (const body of bodiesOf(node)) checkOperators(body, opsets);
  }
}
