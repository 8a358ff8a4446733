/** Graphs that several ranks run together, in stages. */
import { lower } from '../../graphs/forms/lower.js';
import { stagesOf, synchronised } from '../../graphs/forms/over-ranks.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { arrayOf, knownShape, sizeOf, type Value } from '../../graphs/onnx/types.js';
import type { BuiltGraph } from '../../graphs/programs/built.js';
import type { TrainingConfig } from '../config/training.js';
import type { Ranks } from '../distributed/ranks.js';
import type { Engine, EngineTensor, Session, Tensors } from '../runtime/engine.js';
import { loweringFor, sessionOptions } from './models.js';

function buffer({ name, type, shape: given }: Value): [name: string, tensor: EngineTensor] {
  const shape = knownShape(given, 'a stage');
  return [name, { type, shape, data: new (arrayOf(type))(sizeOf(shape)) }];
}

const picked = (values: Tensors, names: readonly string[]): Tensors =>
  Object.fromEntries(names.map((name) => [name, values[name]!]));

/**
 * Loads a training graph whose batch normalisations are over the samples of all ranks. Each normalisation ends a stage three
 * times: ranks add up what it needs for its mean, its variance and its gradient.
 */
export async function loadSynchronised(
  { graph }: BuiltGraph,
  config: Pick<TrainingConfig, 'forms' | 'threads'>,
  engine: Engine,
  ranks: Ranks,
): Promise<Session> {
  const lowering = await loweringFor(config, engine);
  const options = sessionOptions(config, lowering.blocked ?? null);
  const stages: { session: Session; buffers: Tensors; sums: readonly { from: string; to: string }[] }[] = [];
  for (const { graph: part, sums } of stagesOf(lower(synchronised(graph, ranks.size), lowering))) {
    const session = await engine.load(encodeModel(toModel(part)), options);
    stages.push({ session, buffers: Object.fromEntries(part.outputs.map(buffer)), sums });
  }
  const outputs = graph.outputs.map(({ name }) => name);
  return {
    inputs: graph.inputs.map(({ name }) => name),
    outputs,
    async run(feeds, into = {}) {
      const values: Record<string, EngineTensor> = { ...feeds };
      for (const { session, buffers, sums } of stages) {
        const targets = session.outputs.map((name) => [name, into[name] ?? buffers[name]!]);
        Object.assign(values, await session.run(picked(values, session.inputs), Object.fromEntries(targets)));
        for (const { from, to } of sums) {
          await ranks.sum(values[from]!.data as Float32Array);
          values[to] = values[from]!;
        }
      }
      return picked(values, outputs);
    },
    async release() {
      for (const { session } of stages) await session.release();
    },
  };
}
