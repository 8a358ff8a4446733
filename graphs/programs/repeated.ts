/*
 * A graph that runs a step any number of times, one after the other: what a step hands on to the next never leaves the device.
 *
 * - An input `x` for which the step has an output `x.next` is handed on: `x.first` goes in, `x.last` comes out.
 * - An input that all steps share goes in as it is.
 * - Every other input `x` is given for all steps at once, as `x.steps` with the step in front, and every other output is
 *   returned in this way. `steps` says how many there are.
 * - The step's nodes stay as they are.
 */
import type { Attribute, Graph, Node, Value } from '../onnx/types.js';
import { nextName } from './built.js';

export const firstName = (name: string): string => `${name}.first`;
export const lastName = (name: string): string => `${name}.last`;
export const stepsName = (name: string): string => `${name}.steps`;

/** The number of steps: an int64 scalar. */
export const STEPS = 'steps';

const ofSteps = (value: Value): Value => ({
  ...value,
  name: stepsName(value.name),
  shape: ['K', ...value.shape],
});

/** Repeats a step with a `Loop`. @param step not lowered yet, or lowered  @param state names of what no step has an input of its own for */
export function repeated(step: Graph, state: ReadonlySet<string>): Graph {
  const made = new Set(step.outputs.map(({ name }) => name));
  const carried = step.inputs.filter(({ name }) => made.has(nextName(name)));
  const shared = step.inputs.filter((input) => state.has(input.name) && !carried.includes(input));
  const own = step.inputs.filter((input) => !carried.includes(input) && !shared.includes(input));
  const handedOn = new Set(carried.map(({ name }) => nextName(name)));
  const results = step.outputs.filter(({ name }) => !handedOn.has(name));

  const node = (
    operator: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Node => ({ name: outputs[0]!, operator, domain: '', inputs, outputs, attributes });
  const picked = own.map(({ name }) =>
    node('Gather', [stepsName(name), 'repeat.index'], [name], { axis: { kind: 'int', value: 0 } }),
  );
  const goesOn: Value = { name: 'repeat.on', type: 'bool', shape: [] };
  const goesOnNext: Value = { ...goesOn, name: 'repeat.on.next' };
  const body: Graph = {
    ...step,
    inputs: [{ name: 'repeat.index', type: 'int64', shape: [] }, goesOn, ...carried],
    outputs: [goesOnNext, ...carried.map((value) => ({ ...value, name: nextName(value.name) })), ...results],
    nodes: [...picked, ...step.nodes, node('Identity', [goesOn.name], [goesOnNext.name])],
  };
  const first = carried.map((value) => ({ ...value, name: firstName(value.name) }));
  const last = carried.map((value) => ({ ...value, name: lastName(value.name) }));
  const outputs = [...last, ...results.map(ofSteps)];
  const steps: Value = { name: STEPS, type: 'int64', shape: [] };
  return {
    name: STEPS,
    inputs: [steps, ...own.map(ofSteps), ...shared, ...first],
    outputs,
    nodes: [
      node(
        'Loop',
        [STEPS, '', ...first.map(({ name }) => name)],
        outputs.map(({ name }) => name),
        { body: { kind: 'graph', value: body } },
      ),
    ],
    initializers: new Map(),
    values: new Map(
      [steps, ...own.map(ofSteps), ...shared, ...first, ...outputs].map((value) => [value.name, value]),
    ),
  };
}
