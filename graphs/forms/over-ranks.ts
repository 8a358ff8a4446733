/*
 * Batch normalisation over the samples of several ranks: a graph in which ranks add up what their normalisations need, and its
 * stages, between which they do so.
 */
import { attributesOf } from '../onnx/attributes.js';
import { GraphBuilder } from '../onnx/builder.js';
import { operatorOf } from '../onnx/registry.js';
import { type Graph, knownShape, type Node, sizeOf, TYPE_CODES, type Value } from '../onnx/types.js';
import { needed, readsOf } from '../passes/needed.js';
import { coefficients, inverseDeviation } from './reference/batch-norm.js';

const overRanks = (g: GraphBuilder, x: Value) => g.add('SumOverRanks', [x]);
const channelSum = (g: GraphBuilder, x: Value) => g.add('ChannelSum', [x]);
/** [C] against x [N,C,…]. */
const along = (g: GraphBuilder, v: Value, x: Value) =>
  g.reshape(
    v,
    x.shape.map((_, axis) => (axis === 1 ? -1 : 1)),
  );
const times = (g: GraphBuilder, v: Value, by: number) => g.add('Mul', [v, g.scalar(by, v.type)]);
const countOf = (x: Value) => sizeOf(knownShape(x.shape, 'BatchNorm')) / (x.shape[1] as number);

interface Attributes {
  readonly epsilon: number;
  readonly relu: number;
}

/** As the form `plain` of BatchNorm, for M values a channel on all ranks. → y, mean, variance, x − mean */
function normalised(
  g: GraphBuilder,
  [x, scale, bias]: readonly [Value, Value, Value],
  { epsilon, relu }: Attributes,
  ranks: number,
): [y: Value, mean: Value, variance: Value, centred: Value] {
  const share = 1 / (ranks * countOf(x));
  const mean = times(g, overRanks(g, channelSum(g, x)), share);
  const centred = g.add('Sub', [x, along(g, mean, x)]);
  const variance = times(g, overRanks(g, channelSum(g, g.add('Mul', [centred, centred]))), share);
  const slope = g.add('Mul', [scale, inverseDeviation(g, variance, epsilon)]);
  const y = g.add('Add', [g.add('Mul', [centred, along(g, slope, x)]), along(g, bias, x)]);
  return [relu ? g.add('Relu', [y]) : y, mean, variance, centred];
}

/** dx by the sums of all ranks; dscale and dbias are the own shares, which are added up with all other gradients. */
function gradients(
  g: GraphBuilder,
  [dy, y, centred, scale, variance]: readonly [Value, Value, Value, Value, Value],
  { epsilon, relu }: Attributes,
  ranks: number,
): [dx: Value, dscale: Value, dbias: Value] {
  const passed = () =>
    g.add('Cast', [g.add('Greater', [y, g.scalar(0, y.type)])], { to: TYPE_CODES[y.type] });
  const given = relu ? g.add('Mul', [dy, passed()]) : dy;
  const dbias = channelSum(g, given);
  const moment = channelSum(g, g.add('Mul', [given, centred]));
  const sums = { dbias: overRanks(g, dbias), moment: overRanks(g, moment) };
  const c = coefficients(g, { scale, variance, ...sums }, epsilon, ranks * countOf(centred));
  const indirect = g.add('Add', [
    g.add('Mul', [centred, along(g, c.indirect, centred)]),
    along(g, c.constant, centred),
  ]);
  const dx = g.add('Add', [g.add('Mul', [given, along(g, c.direct, centred)]), indirect]);
  return [dx, g.add('Mul', [moment, inverseDeviation(g, variance, epsilon)]), dbias];
}

/**
 * A training graph, not lowered yet, in which all batch normalisations are over the samples of all ranks.
 * @param ranks that run it together, with as many samples each
 */
export function synchronised(graph: Graph, ranks: number): Graph {
  const g = new GraphBuilder(graph.name);
  const values = new Map<string, Value>();
  /** Variances as they are: what else reads one corrects it for the number of one rank's values. */
  const variances = new Map<string, Value>();
  for (const { name, type, shape } of graph.inputs) values.set(name, g.input(name, type, shape));
  for (const [name, tensor] of graph.initializers) values.set(name, g.initializer(name, tensor));
  const nodes = needed(graph);
  g.reserve(nodes.flatMap((node) => node.outputs));
  for (const node of nodes) {
    const inputs = node.inputs.map((name) => (name === '' ? null : values.get(name)!));
    const operator = operatorOf(node);
    const set = (results: readonly Value[]) => {
      for (const [i, name] of node.outputs.entries()) values.set(name, results[i]!);
    };
    if (operator === 'BatchNorm') {
      const operands = inputs as [Value, Value, Value];
      const [y, mean, variance, centred] = g.scope(node.name, () =>
        normalised(g, operands, attributesOf(node, operator), ranks),
      );
      const [own, all] = [countOf(operands[0]), ranks * countOf(operands[0])];
      const corrected = times(g, variance, (all / Math.max(1, all - 1)) * (Math.max(1, own - 1) / own));
      set([y, mean, corrected, centred]);
      variances.set(node.outputs[2]!, variance);
    } else if (operator === 'BatchNormGrad') {
      const [dy, y, centred, scale] = inputs as [Value, Value, Value, Value];
      const variance = variances.get(node.inputs[4]!)!;
      set(
        g.scope(node.name, () =>
          gradients(g, [dy, y, centred, scale, variance], attributesOf(node, operator), ranks),
        ),
      );
    } else set(g.copy(node, inputs));
  }
  for (const { name } of graph.outputs) g.output(name, values.get(name)!);
  return g.build();
}

/** Part of a graph, and what all ranks then add up for the parts that follow. */
export interface Stage {
  readonly graph: Graph;
  readonly sums: readonly { readonly from: string; readonly to: string }[];
}

/** In the stage of its first reader a node of one operand keeps nothing alive that is not kept anyway. */
function postponed(nodes: readonly Node[], stageOf: Map<Node, number>, graph: Graph): void {
  const first = new Map(graph.outputs.map(({ name }) => [name, 0]));
  for (const node of nodes.toReversed()) {
    const reads = readsOf(node).filter((name) => !graph.initializers.has(name));
    const wanted = Math.min(...node.outputs.map((name) => first.get(name) ?? Number.POSITIVE_INFINITY));
    if (!isSum(node) && reads.length === 1 && wanted > stageOf.get(node)!) stageOf.set(node, wanted);
    for (const name of reads)
      first.set(name, Math.min(first.get(name) ?? Number.POSITIVE_INFINITY, stageOf.get(node)!));
  }
}

const isSum = ({ operator }: Node) => operator === 'SumOverRanks';

/** A lowered graph as stages, each node in the first one in which all that it reads is there, or not before it is read. */
export function stagesOf(graph: Graph): Stage[] {
  const nodes = needed(graph);
  const since = new Map<string, number>();
  const stageOf = new Map<Node, number>();
  for (const node of nodes) {
    const stage = Math.max(0, ...readsOf(node).map((name) => since.get(name) ?? 0));
    stageOf.set(node, stage);
    for (const name of node.outputs) since.set(name, isSum(node) ? stage + 1 : stage);
  }
  postponed(nodes, stageOf, graph);
  const count = 1 + Math.max(...stageOf.values());
  return Array.from({ length: count }, (_, i) => {
    const here = nodes.filter((node) => stageOf.get(node) === i);
    const own = here.filter((node) => !isSum(node));
    const made = new Set(own.flatMap((node) => node.outputs));
    const reads = new Set(own.flatMap(readsOf));
    const elsewhere = new Set([
      ...graph.outputs.map(({ name }) => name),
      ...nodes.filter((node) => !own.includes(node)).flatMap(readsOf),
    ]);
    const valuesOf = (names: Iterable<string>) => [...names].map((name) => graph.values.get(name)!);
    return {
      graph: {
        ...graph,
        name: `${graph.name}.${i}`,
        inputs: valuesOf([...reads].filter((name) => !made.has(name) && !graph.initializers.has(name))),
        outputs: valuesOf([...made].filter((name) => elsewhere.has(name))),
        nodes: own,
        initializers: new Map([...graph.initializers].filter(([name]) => reads.has(name))),
      },
      sums: here.filter(isSum).map(({ inputs, outputs }) => ({ from: inputs[0]!, to: outputs[0]! })),
    };
  });
}
