import { backward } from '../../../graphs/autodiff/backward.js';
import { plainForms } from '../../../graphs/forms/index.js';
import { lower } from '../../../graphs/forms/lower.js';
import type { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { toModel } from '../../../graphs/onnx/model.js';
import { encodeModel } from '../../../graphs/onnx/schema.js';
import type { Graph, Value } from '../../../graphs/onnx/types.js';
import type { Engine, Tensors } from '../../../src/runtime/engine.js';
import { oracleGradients } from './ort-gradients.js';

/** Runs a lowered graph once. */
export async function run(graph: Graph, feeds: Tensors, engine: Engine): Promise<Tensors> {
  const session = await engine.load(encodeModel(toModel(graph)), { threads: 1 });
  try {
    return await session.run(Object.fromEntries(session.inputs.map((name) => [name, feeds[name]!])));
  } finally {
    await session.release();
  }
}

const KEPT = 'kept.';

/** The forward pass, all of whose values are kept, with the oracle's backward pass behind it. */
function oracleGraph(g: GraphBuilder, forward: Graph, loss: Value, sources: readonly Value[]): Graph {
  const { nodes, values, initializers, gradients } = oracleGradients(forward, loss, sources);
  const inner = forward.nodes.flatMap((node) => node.outputs).map((name) => values.get(name)!);
  for (const value of inner) g.output(`${KEPT}${value.name}`, value);
  const lowered = lower(g.build(), { choose: plainForms });
  const shaped = nodes.filter((n) => n.operator === 'MaxPoolGrad').map((n) => values.get(n.outputs[0]!)!);
  const made = new Set(inner.map(({ name }) => name));
  const renamed = (name: string) => (made.has(name) ? `${KEPT}${name}` : name);
  return {
    ...lowered,
    nodes: [...lowered.nodes, ...nodes.map((node) => ({ ...node, inputs: node.inputs.map(renamed) }))],
    initializers: new Map([...initializers, ...lowered.initializers]),
    values: new Map([...lowered.values, ...values]),
    // MaxPoolGrad must know its shape, which only outputs declare.
    outputs: [...gradients.filter((v) => v !== null), ...shaped],
  };
}

/**
 * Gradients of `loss` by our rules and by ONNX Runtime's kernels, both in its training build.
 * @param build makes the forward pass anew, each time the same
 * @returns by source, those that the loss depends on
 */
export async function gradientsOfBoth(
  build: () => { g: GraphBuilder; loss: Value; sources: readonly Value[] },
  feeds: Tensors,
  engine: Engine,
): Promise<ReadonlyMap<string, { ours: Float32Array; oracle: Float32Array }>> {
  const { g, loss, sources } = build();
  const found = backward(g, loss, sources);
  for (const [i, gradient] of found.entries()) if (gradient) g.output(`gradient.${i}`, gradient);
  const ours = await run(lower(g.build(), { choose: plainForms }), feeds, engine);

  const again = build();
  const graph = oracleGraph(again.g, again.g.build(), again.loss, again.sources);
  const oracle = Object.values(await run(graph, feeds, engine));
  const names = sources.map(({ name }) => name).filter((_, i) => found[i]);
  return new Map(
    names.map((name, i) => [
      name,
      {
        ours: ours[`gradient.${sources.findIndex((s) => s.name === name)}`]!.data as Float32Array,
        oracle: oracle[i]!.data as Float32Array,
      },
    ]),
  );
}
