/** Models that take and give half precision, which JavaScript does not have, as ones of single precision. */
import { encodeModel } from '../../graphs/onnx/schema.js';
import { type Model, type Node, TYPE_CODES, type Value } from '../../graphs/onnx/types.js';
import type { Engine, Session, SessionOptions, Tensors } from '../runtime/engine.js';

const cast = (from: string, to: string, type: 'float16' | 'float32'): Node => ({
  name: to,
  operator: 'Cast',
  domain: '',
  inputs: [from],
  outputs: [to],
  attributes: { to: { kind: 'int', value: TYPE_CODES[type] } },
});

const isHalf = ({ type }: Value) => type === 'float16';
const singleName = (name: string) => `${name}/single`;

/** The model between casts. */
function withSingleInterface(model: Model): Model {
  const { graph } = model;
  const single = (value: Value): Value =>
    isHalf(value) ? { ...value, name: singleName(value.name), type: 'float32' } : value;
  return {
    ...model,
    graph: {
      ...graph,
      inputs: graph.inputs.map(single),
      outputs: graph.outputs.map(single),
      nodes: [
        ...graph.inputs.filter(isHalf).map(({ name }) => cast(singleName(name), name, 'float16')),
        ...graph.nodes,
        ...graph.outputs.filter(isHalf).map(({ name }) => cast(name, singleName(name), 'float32')),
      ],
    },
  };
}

const renamed = (tensors: Tensors, names: ReadonlyMap<string, string>): Tensors =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [names.get(name) ?? name, tensor]));

/**
 * Loads a model; what of its inputs and outputs is float16 is taken and given as float32.
 * @param bytes the model, encoded
 */
export async function loadWithSingleInterface(
  model: Model,
  bytes: Uint8Array,
  engine: Engine,
  options: SessionOptions,
): Promise<Session> {
  const { inputs, outputs } = model.graph;
  const halves = [...inputs, ...outputs].filter(isHalf).map(({ name }) => name);
  if (halves.length === 0) return engine.load(bytes, options);
  const session = await engine.load(encodeModel(withSingleInterface(model)), options);
  const inside = new Map(halves.map((name) => [name, singleName(name)]));
  const outside = new Map(halves.map((name) => [singleName(name), name]));
  const own = (names: readonly string[]) => names.map((name) => outside.get(name) ?? name);
  return {
    inputs: own(session.inputs),
    outputs: own(session.outputs),
    run: async (feeds, into) =>
      renamed(await session.run(renamed(feeds, inside), into && renamed(into, inside)), outside),
    release: () => session.release(),
  };
}
