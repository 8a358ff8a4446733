import { FIRST_LOSS_SCALING, LOSS_SCALING } from '../../graphs/nn/loss-scale.js';
import type { Parameter } from '../../graphs/nn/module.js';
import { optimizerSlots } from '../../graphs/nn/optimizers.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import { slotName } from '../../graphs/programs/built.js';
import type { StepConfig } from '../config/training.js';
import type { State } from '../runs/state.js';
import type { EngineTensor } from '../runtime/engine.js';
import { initialize } from '../weights/initialize.js';

/** A tensor of float32; zeros without data. */
export const floatTensor = (
  shape: readonly number[],
  data: Float32Array = new Float32Array(sizeOf(shape)),
): EngineTensor => ({
  type: 'float32',
  shape,
  data,
});

/** The state of a network before its first step. @param values of every parameter; those of an untrained one without */
export function freshState(
  parameters: readonly Parameter[],
  config: StepConfig,
  values: ReadonlyMap<string, Float32Array> = initialize(parameters, config.seed),
): State {
  const state: State = new Map(
    parameters.map(({ name, shape }) => [name, floatTensor(shape, values.get(name))]),
  );
  for (const { name, shape } of parameters.filter((p) => p.trainable)) {
    for (const slot of optimizerSlots(config.optimizer)) state.set(slotName(slot, name), floatTensor(shape));
  }
  if (config.precision === 'amp') {
    const data = Float32Array.from(FIRST_LOSS_SCALING);
    state.set(LOSS_SCALING, floatTensor([data.length], data));
  }
  return state;
}
