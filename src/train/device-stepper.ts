import { LOSS_SCALING } from '../../graphs/nn/loss-scale.js';
import type { Parameter } from '../../graphs/nn/module.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import { type Pack, statePacks } from '../../graphs/programs/packed.js';
import { firstName, lastName, STEPS, stepsName } from '../../graphs/programs/repeated.js';
import type { StepConfig } from '../config/training.js';
import { buildGraph, loadGraph, type Workload } from '../execution/models.js';
import type { State } from '../runs/state.js';
import type { Engine, EngineTensor, Tensors } from '../runtime/engine.js';
import { freshState } from './fresh-state.js';
import type { Stepper, StepResult } from './stepper.js';

/** So long may a run take: the state is copied in and out once, and in between nobody can look at it or interrupt. */
const RUN_SECONDS = 5;
/** So much may the samples of a run's steps take. */
const RUN_BYTES = 2 ** 30;

/** A tensor of the graph, and what it holds one after the other. */
type Packed = Pick<Pack, 'name' | 'members'> & { readonly shape: readonly number[] };

/** A run's state in packed tensors, and the tensors in them by name, on the same memory. */
class PackedState {
  readonly tensors: ReadonlyMap<string, EngineTensor>;
  readonly members: State;

  /** @param names in the order in which checkpoints list them */
  constructor(packs: readonly Packed[], names: readonly string[]) {
    const members: State = new Map();
    this.tensors = new Map(
      packs.map(({ name, shape, members: list }) => {
        const data = new Float32Array(sizeOf(shape));
        let at = 0;
        for (const member of list) {
          const end = at + sizeOf(member.shape);
          members.set(member.name, { type: 'float32', shape: member.shape, data: data.subarray(at, end) });
          at = end;
        }
        return [name, { type: 'float32', shape, data }];
      }),
    );
    this.members = new Map(names.map((name) => [name, members.get(name)!]));
  }

  /** What a run takes or returns. */
  named(as: (name: string) => string): Tensors {
    return Object.fromEntries([...this.tensors].map(([name, tensor]) => [as(name), tensor]));
  }
}

/** The same input of several steps, with the step in front. */
function stacked(steps: readonly EngineTensor[]): EngineTensor {
  const { type, shape, data } = steps[0]!;
  const Data = data.constructor as Float32ArrayConstructor;
  const all = new Data(steps.length * data.length);
  for (const [i, step] of steps.entries()) all.set(step.data as Float32Array, i * data.length);
  return { type, shape: [steps.length, ...shape], data: all };
}

const floats = (values: readonly number[]): EngineTensor => ({
  type: 'float32',
  shape: [values.length],
  data: Float32Array.from(values),
});

const bytesOf = (tensors: Tensors): number =>
  Object.values(tensors).reduce((sum, { data }) => sum + data.byteLength, 0);

/**
 * For a device with memory of its own: many steps in one run, between which the state stays there. Losses and state are those
 * of single steps.
 * @param start state of a checkpoint, or of a network that was loaded; that of an untrained one without it
 */
export async function createDeviceStepper(
  workload: Workload,
  config: StepConfig,
  engine: Engine,
  start?: State,
): Promise<Stepper> {
  const built = buildGraph('steps', workload, config);
  const parameters: readonly Parameter[] = built.parameters;
  const session = await loadGraph(built, config, engine);
  const { parameters: trained, buffers, slots } = statePacks(parameters, config.optimizer);
  const initial = start ?? freshState(parameters, config);
  const scaling = initial.get(LOSS_SCALING);
  const alone = scaling ? [{ name: LOSS_SCALING, shape: scaling.shape }] : [];
  const packs: Packed[] = [
    ...[...trained, ...buffers, ...Object.values(slots).flat()],
    ...alone.map((member) => ({ ...member, members: [member] })),
  ];
  const names = [...initial.keys()];
  let current = new PackedState(packs, names);
  let spare = new PackedState(packs, names);
  for (const [name, { data }] of initial)
    (current.members.get(name)!.data as Float32Array).set(data as Float32Array);

  let runs = 0;
  let stepsAtOnce = 1;
  return {
    parameters,
    get stepsAtOnce() {
      return stepsAtOnce;
    },
    readState: async () => current.members,
    async run(steps, learningRate, first): Promise<StepResult[]> {
      const count = steps.length;
      const batches = steps.map(([batch]) => batch!);
      const began = performance.now();
      const inputs = Object.keys(batches[0]!).filter((name) => session.inputs.includes(stepsName(name)));
      const [loss, norm, scale] = [1, 2, 3].map(() => floats(new Array<number>(count))) as [
        EngineTensor,
        EngineTensor,
        EngineTensor,
      ];
      await session.run(
        {
          [STEPS]: { type: 'int64', shape: [], data: BigInt64Array.of(BigInt(count)) },
          [stepsName('learning_rate')]: floats(steps.map(() => learningRate)),
          [stepsName('step')]: floats(steps.map((_, i) => first + i)),
          ...Object.fromEntries(
            inputs.map((name) => [stepsName(name), stacked(batches.map((batch) => batch[name]!))]),
          ),
          ...current.named(firstName),
        },
        {
          ...spare.named(lastName),
          [stepsName('loss')]: loss,
          [stepsName('gradient_norm')]: norm,
          ...(scaling && { [stepsName('loss_scale')]: scale }),
        },
      );
      [current, spare] = [spare, current];
      const seconds = (performance.now() - began) / 1000 / count;
      // In the first run the device tries out its algorithms.
      runs++;
      const most = Math.min(RUN_SECONDS / seconds, RUN_BYTES / bytesOf(batches[0]!));
      stepsAtOnce = runs === 1 ? 1 : Math.max(1, Math.floor(most));
      return batches.map((_, i) => ({
        loss: loss.data[i] as number,
        gradientNorm: norm.data[i] as number,
        ...(scaling && { lossScale: scale.data[i] as number }),
      }));
    },
    release: () => session.release(),
  };
}
