/** What `npm run gpu:check` compares; every check takes the engine or device, so that it can be tried without a GPU. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gpuForms, plainForms } from '../../graphs/forms/index.js';
import { writePhantoms } from '../../src/commands/phantom.js';
import { prepare } from '../../src/commands/prepare.js';
import { pretrain } from '../../src/commands/pretrain.js';
import { fromSettings } from '../../src/config/settings.js';
import { readMetrics } from '../../src/runs/metrics.js';
import type { Engine } from '../../src/runtime/engine.js';
import type { Comparison } from '../graphs/models/golden.js';
import { compareNetwork, GOLDEN_NETWORKS } from '../graphs/models/golden-networks.js';

/** How far off, in tolerances; what is no number at all is farthest. */
const offBy = ({ error, tolerance }: Comparison) =>
  Number.isNaN(error) ? Number.POSITIVE_INFINITY : error / tolerance;

/** The middle one of several comparisons of the same thing. */
const median = (comparisons: readonly Comparison[]): Comparison =>
  comparisons.toSorted((a, b) => offBy(a) - offBy(b))[(comparisons.length - 1) / 2]!;

/**
 * Gradients of whole networks against PyTorch's, in both kinds of forms: the largest error of each. cuDNN chooses its
 * algorithms anew for each session, by time, and now and then takes one that is off by 1e-5, which turns a ReLU: a gradient is
 * wrong where it is wrong in most sessions.
 * @param count of sessions, odd; one is enough where algorithms are not chosen by time
 */
export async function checkGradients(engine: Engine, count = 3): Promise<Comparison[]> {
  const worst: Comparison[] = [];
  for (const name of GOLDEN_NETWORKS) {
    for (const [forms, choose] of [
      ['plain', plainForms],
      ['GPU', gpuForms],
    ] as const) {
      const sessions: Comparison[][] = [];
      while (sessions.length < count) sessions.push(await compareNetwork(name, engine, choose));
      const all = sessions[0]!.map((_, i) => median(sessions.map((session) => session[i]!)));
      const farthest = all.reduce((a, b) => (offBy(b) > offBy(a) ? b : a));
      worst.push({ ...farthest, what: `gradients of ${name}, ${forms} forms: ${farthest.what}` });
    }
  }
  return worst;
}

// Adam divides by the gradient's size, which blows up rounding: after 50 steps two CPU runs in other forms differ by 13 %.
const CURVE = ['batch=8', 'optimizer.name=sgd', 'learningRate=0.005', 'validation.every=50'];

async function lossesOn(device: string, data: string, out: string, settings: readonly string[]) {
  await pretrain({ data, out, preset: 'tiny', config: fromSettings(settings, { device, steps: 50 }) });
  return readMetrics(join(out, 'metrics.jsonl')).flatMap(({ loss }) =>
    typeof loss === 'number' ? [loss] : [],
  );
}

/** 50 steps of `tiny` on phantoms, on a device and on the CPU: how far the losses part. */
export async function checkCurve(device: string, settings: readonly string[] = []): Promise<Comparison[]> {
  const folder = mkdtempSync(join(tmpdir(), 'p2w-gpu-'));
  try {
    const [phantoms, tiles] = [join(folder, 'phantoms'), join(folder, 'tiles')];
    await writePhantoms({ out: phantoms, scans: 6, size: [64, 64, 48], seed: 1, format: 'nii.gz' });
    await prepare({ input: [join(phantoms, 'scans')], out: tiles, size: [32, 32, 16], valFraction: 0.25 });
    const expected = await lossesOn('cpu', tiles, join(folder, 'cpu'), CURVE);
    const got = await lossesOn(device, tiles, join(folder, 'device'), [...CURVE, ...settings]);
    const errors = expected.map((loss, i) => Math.abs(got[i]! / loss - 1));
    return [
      { what: 'losses of steps 1 to 3', error: Math.max(...errors.slice(0, 3)), tolerance: 5e-4 },
      { what: 'losses of steps 1 to 50', error: Math.max(...errors), tolerance: 0.05 },
      { what: 'loss of step 50, as a share of step 1', error: got.at(-1)! / got[0]!, tolerance: 0.5 },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
