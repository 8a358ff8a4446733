import { LOSS_SCALING } from '../../graphs/nn/loss-scale.js';
import type { Parameter } from '../../graphs/nn/module.js';
import { sizeOf } from '../../graphs/onnx/types.js';
import { type Pack, single, statePacks } from '../../graphs/programs/packed.js';
import { firstName, lastName, STEPS, stepsName } from '../../graphs/programs/repeated.js';
import type { StepConfig } from '../config/training.js';
import { buildGraph, loadGraph, runsOnGpu, type Workload } from '../execution/models.js';
import type { State } from '../runs/state.js';
import type { Engine, EngineTensor, Tensors } from '../runtime/engine.js';
import { freshState } from './fresh-state.js';
import { ratesOf, type Stepper, type StepResult } from './stepper.js';

/** What the samples of a run's steps may take together: all of them are in memory. */
const MOST_BYTES = { gpu: 2 ** 30, cpu: 2 ** 28 } as const;
/** How long a run may last on a GPU: meanwhile nobody can look at the state or interrupt. */
const SECONDS_ON_GPU = 5;
/** About what ONNX Runtime for Node.js copies of a run's results in a second. */
const COPIED_PER_SECOND = 2e9;

/** How long a run may last on a CPU: so long that copying its state takes a fortieth of it, but one to ten seconds. */
const secondsOnCpu = (stateBytes: number): number =>
  Math.min(10, Math.max(1, (40 * stateBytes) / COPIED_PER_SECOND));

/** The tensors of a run's state, and what is in them by name, on the same memory. */
class PackedState {
  readonly tensors: ReadonlyMap<string, EngineTensor>;
  readonly members: State;

  /** @param initial in the order in which checkpoints list it */
  constructor(packs: readonly Pack[], initial: State) {
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
    this.members = new Map([...initial.keys()].map((name) => [name, members.get(name)!]));
    for (const [name, { data }] of initial)
      (this.members.get(name)!.data as Float32Array).set(data as Float32Array);
  }
}

/** The state as the graph takes it. */
function packsOfState(
  parameters: readonly Parameter[],
  config: StepConfig,
  isGpu: boolean,
  state: State,
): Pack[] {
  const packs = statePacks(parameters, config.optimizer, isGpu ? 'packed' : 'single');
  const scaling = state.get(LOSS_SCALING);
  return [
    ...packs.parameters,
    ...packs.buffers,
    ...Object.values(packs.slots).flat(),
    ...(scaling ? [single({ name: LOSS_SCALING, shape: scaling.shape })] : []),
  ];
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
 * Many steps in one run, between which the state stays where it is: on a GPU it would be copied there and back, and ONNX Runtime for
 * Node.js copies everything that a run returns. Losses and state are those of single steps.
 * @param start state of a checkpoint, or of a network that was loaded; that of an untrained one without it
 */
export async function createLoopStepper(
  workload: Workload,
  config: StepConfig,
  engine: Engine,
  start?: State,
): Promise<Stepper> {
  const isGpu = runsOnGpu(engine);
  const built = buildGraph(isGpu ? 'stepsOnGpu' : 'steps', workload, config);
  const { parameters } = built;
  const session = await loadGraph(built, config, engine);
  const initial = start ?? freshState(parameters, config);
  const scaling = initial.has(LOSS_SCALING);
  const packs = packsOfState(parameters, config, isGpu, initial);
  const state = new PackedState(packs, initial);
  const seconds = isGpu ? SECONDS_ON_GPU : secondsOnCpu(bytesOf(Object.fromEntries(state.tensors)));
  const taken = (name: string) => (session.inputs.includes(firstName(name)) ? firstName(name) : name);
  const returned = packs.map(({ name }) => name).filter((name) => session.outputs.includes(lastName(name)));

  let runs = 0;
  let stepsAtOnce = 1;
  return {
    parameters,
    get stepsAtOnce() {
      return stepsAtOnce;
    },
    readState: async () => state.members,
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
          [stepsName('learning_rate')]: floats(ratesOf(learningRate, count)),
          [stepsName('step')]: floats(steps.map((_, i) => first + i)),
          ...Object.fromEntries(
            inputs.map((name) => [stepsName(name), stacked(batches.map((batch) => batch[name]!))]),
          ),
          ...Object.fromEntries([...state.tensors].map(([name, tensor]) => [taken(name), tensor])),
        },
        // The new state takes the old one's memory: a loop hands it out when it has ended.
        {
          ...Object.fromEntries(returned.map((name) => [lastName(name), state.tensors.get(name)!])),
          [stepsName('loss')]: loss,
          [stepsName('gradient_norm')]: norm,
          ...(scaling && { [stepsName('loss_scale')]: scale }),
        },
      );
      const each = (performance.now() - began) / 1000 / count;
      // In the first run a GPU tries out its algorithms.
      runs++;
      const most = Math.min(seconds / each, MOST_BYTES[isGpu ? 'gpu' : 'cpu'] / bytesOf(batches[0]!));
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
