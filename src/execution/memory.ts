/** What a training will need, told before it begins: afterwards it would be killed, or end in words of the allocator. */
import { peakBytes } from '../../graphs/onnx/peak.js';
import { arrayOf, type Graph, sizeOf } from '../../graphs/onnx/types.js';
import { microBatches, type TrainingConfig } from '../config/training.js';
import { UserError } from '../errors.js';
import { memoryLimitBytes } from '../machine.js';
import type { Engine } from '../runtime/engine.js';
import { buildGraph, runsOnGpu, type Workload } from './models.js';

/** Everything is linear in the samples; an even number of wholes, so that two parts of each can be compared. */
const MEASURED = [4, 8] as const;

/** Node.js and ONNX Runtime themselves. */
const PROGRAM_BYTES = 0.2e9;

/** A batch that is proposed must really fit: runs of the presets took 1.2 to 1.6 times what is foretold here. */
const MARGIN = 1.6;

interface Need {
  /** Of the network, whatever the batch. */
  readonly fixed: number;
  /** Of a step for each sample that is computed at once. */
  readonly step: number;
  /** Of the data of one sample. */
  readonly data: number;
}

const inputBytes = ({ inputs }: Graph): number =>
  inputs.reduce(
    (sum, { type, shape }) => sum + sizeOf(shape as number[]) * arrayOf(type).BYTES_PER_ELEMENT,
    0,
  );

function needOf(workload: Workload, config: TrainingConfig): Need {
  const [few, more] = MEASURED.map((batch) => {
    const { graph } = buildGraph('step', workload, { ...config, batch, microBatch: null });
    return { peak: peakBytes(graph), inputs: inputBytes(graph) };
  }) as [{ peak: number; inputs: number }, { peak: number; inputs: number }];
  const samples = MEASURED[1] - MEASURED[0];
  const step = (more.peak - few.peak) / samples;
  const data = (more.inputs - few.inputs) / samples;
  // What is the same for any batch are parameters and the optimiser's state: as inputs, and as results.
  const fixed = PROGRAM_BYTES + few.peak + few.inputs - MEASURED[0] * (step + data);
  return { fixed, step, data };
}

/** Samples whose data are held at once: those of this step, and those read ahead; see `readAhead` and `trainRun`. */
const heldSamples = (size: number, count: number, workers: number) =>
  size * (2 * count + 2 * Math.max(1, workers));

function bytesFor({ fixed, step, data }: Need, size: number, count: number, workers: number): number {
  return fixed + step * size + data * heldSamples(size, count, workers);
}

/** The largest even batch that fits, or 1; 0 where not even that does. */
function fittingBatch(need: Need, workers: number, limit: number): number {
  const [none, one] = [0, 1].map((size) => bytesFor(need, size, 1, workers)) as [number, number];
  const most = Math.floor((limit / MARGIN - none) / (one - none));
  return most > 1 ? most - (most % 2) : Math.max(0, most);
}

/** What to set instead. */
function remedy(need: Need, { batch, microBatch, workers }: TrainingConfig, limit: number): string {
  const fitting = fittingBatch(need, workers, limit);
  if (fitting === 0) return 'choose a smaller network or smaller images, such as --preset tiny';
  if (microBatch !== null && microBatch > fitting) return `--set batch=${fitting} --set microBatch=null fits`;
  if (microBatch !== null) return `--set batch=${fitting - (fitting % microBatch)} fits`;
  let part = fitting;
  while (batch % part !== 0) part--;
  const parted = bytesFor(need, part, batch / part, workers) <= limit / MARGIN;
  return `--set batch=${fitting} fits${parted ? `; --set microBatch=${part} computes the same batch in parts` : ''}`;
}

const gigabytes = (bytes: number) =>
  `${bytes < 10e9 ? (bytes / 1e9).toFixed(1) : Math.round(bytes / 1e9).toLocaleString('en')} GB`;

/**
 * @param limit bytes that there are
 * @throws UserError of kind `config` when a step cannot fit into memory, with the batch that does
 */
export function checkMemory(
  workload: Workload,
  config: TrainingConfig,
  engine: Pick<Engine, 'provider'>,
  limit = memoryLimitBytes(),
): void {
  // A GPU has memory of its own, which is asked when its graph is loaded.
  if (runsOnGpu(engine) || engine.provider === 'webgpu') return;
  const need = needOf(workload, config);
  const { size, count } = microBatches(config);
  const bytes = bytesFor(need, size, count, config.workers);
  if (bytes <= limit) return;
  throw new UserError('config', {
    what: 'a training step does not fit in memory',
    where: config.microBatch === null ? 'batch' : 'batch, microBatch',
    got: `${size} samples at once${count > 1 ? `, ${count} times per step` : ''}: at least ${gigabytes(bytes)}`,
    expected: `at most ${gigabytes(limit)}`,
    fix: remedy(need, config, limit),
  });
}
