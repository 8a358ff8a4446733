import { createHash } from 'node:crypto';
import { UserError } from '../errors.js';
import { isSame } from '../files.js';
import { isOnnxFile } from '../onnx-file.js';
import { type Checkpoint, type CheckpointName, resolveCheckpoint } from '../runs/checkpoint.js';
import {
  type FinetuneRunFacts,
  isFinetuneRun,
  type RunFacts,
  readFinetuneRun,
  readRun,
} from '../runs/run.js';
import { shellWord } from '../shell.js';
import { averageSites, type Site } from '../train/federated-average.js';
import { floatTensor } from '../train/fresh-state.js';
import { makeRun } from '../train/make-run.js';
import type { ArtifactsManifest } from './artifacts-manifest.js';
import { networkTensors } from './export-files.js';

export interface AverageOptions {
  /** Folders of runs of the same network, one a site. Of a single one only the weights are kept. */
  readonly runs: readonly string[];
  /** Folder of the run that is made. */
  readonly out: string;
  /** Of each run: `last` without it, what the site's training ended with. */
  readonly checkpoint?: CheckpointName;
  /** How much each run counts, in their order; its training samples without it. */
  readonly weights?: readonly number[];
}

export interface AverageSummary {
  readonly run: string;
  /** What the runs trained: `model` is an ONNX model from elsewhere. */
  readonly task: ArtifactsManifest['task'];
  /** Share of each site in the average. */
  readonly sites: readonly { readonly run: string; readonly step: number; readonly share: number }[];
}

interface TrainedSite {
  readonly run: string;
  readonly facts: RunFacts | FinetuneRunFacts;
  readonly checkpoint: Checkpoint;
}

/** What sites must have in common, for their weights to mean the same. */
const SHARED: readonly string[] = [
  'tile',
  'format',
  'spacing',
  'kind',
  'proxy',
  'whole',
  'normalise',
  'window',
  'hidden',
  'model',
  'network',
];

function taskOf({ config }: TrainedSite['facts']): AverageSummary['task'] {
  if (!('kind' in config)) return 'pretrain';
  if (config.model) return 'model';
  return config.kind === 'classification' ? 'classify' : 'segment';
}

/** @throws UserError for layers behind a frozen ONNX encoder, whose features each site has standardised by its own samples */
function refuseFrozenModel({ run, facts: { config } }: TrainedSite): void {
  if (!('kind' in config) || config.model || !isOnnxFile(config.init.from)) return;
  throw new UserError('run', {
    what: 'this run trained layers behind a frozen ONNX encoder, whose features each site standardises by its own samples, so they cannot be averaged',
    where: run,
    got: config.init.from,
    fix: 'train the ONNX model itself at all sites: p2w finetune without --freeze and --linear-probe',
  });
}

/** @throws UserError naming the first thing in which a site differs from the first one */
function refuseOthers([first, ...others]: readonly TrainedSite[]): void {
  const described = ({ facts: { config, ...facts } }: TrainedSite): Record<string, unknown> => ({
    ...facts,
    ...config,
  });
  const text = (site: TrainedSite, key: string) => JSON.stringify(described(site)[key]);
  for (const other of others) {
    const key = SHARED.find((name) => text(first!, name) !== text(other, name));
    const hash = first!.checkpoint.state.networkHash === other.checkpoint.state.networkHash;
    if (key === undefined && hash) continue;
    throw new UserError('run', {
      what: `this run was trained differently from ${first!.run}, so their weights cannot be averaged`,
      where: other.run,
      got: key ? `${key} ${text(other, key)}` : 'different parameters',
      expected: key ? `${key} ${text(first!, key)}` : `the parameters of ${first!.run}`,
      fix: 'give all sites the same configuration',
    });
  }
}

/** How much each site counts. @throws UserError when that is not known, or no weight */
function weightsOf(sites: readonly TrainedSite[], given: readonly number[] | undefined): readonly number[] {
  if (!given)
    return sites.map(({ run, checkpoint: { state } }) => {
      if (state.samples !== null) return state.samples;
      throw new UserError('run', {
        what: 'the number of training samples of this run is unknown',
        where: run,
        fix: 'give the weight of each run: --weights 120,80',
      });
    });
  const isUsable = (weight: number) => weight > 0 && Number.isFinite(weight);
  if (given.length === sites.length && given.every(isUsable)) {
    const most = Math.max(...given);
    return given.map((weight) => weight / most); // whose sum is finite
  }
  throw new UserError('usage', {
    what: 'every run needs a positive weight',
    where: '--weights',
    got: given.join(', '),
    expected: `${sites.length} numbers`,
  });
}

/** A site's weights and running statistics. @throws UserError when one is no number */
function weightsOfSite({ run, checkpoint }: TrainedSite): Site['tensors'] {
  const tensors = networkTensors(checkpoint);
  const broken = tensors.find(([, { data }]) => !(data as Float32Array).every(Number.isFinite));
  if (!broken) return new Map(tensors.map(([name, { data }]) => [name, data as Float32Array]));
  throw new UserError('run', {
    what: 'this run has weights that are not finite numbers',
    where: run,
    got: broken[0],
    fix: 'leave it out, or use an earlier --checkpoint of all runs',
  });
}

/** @throws UserError when there is no run, or one that is named twice, by whatever path */
function checkRuns(runs: readonly string[]): void {
  const repeated = runs.find((run, i) => runs.slice(0, i).some((other) => isSame(run, other)));
  if (runs.length > 0 && repeated === undefined) return;
  throw new UserError('usage', {
    what: 'an average needs runs, each of them once',
    got: repeated ? `${repeated} twice, in ${runs.join(' ')}` : 'none',
  });
}

/**
 * Averages runs that were trained apart on the same configuration, by their numbers of training samples: federated
 * averaging (McMahan et al. 2017). What it makes is a run of weights, without an optimiser's state: it can be exported, fine-tuned
 * from, and be the `--init` of every site's next round. Of a single run it is what a site may send.
 * @throws UserError when runs do not belong together or are damaged, weights make no sense, or there is a run in `out`
 * @example
 * await average({ runs: ['north/1', 'south/1'], out: 'average/1' });
 */
export async function average(options: AverageOptions): Promise<AverageSummary> {
  const { runs, out, checkpoint: name = 'last' } = options;
  checkRuns(runs);
  const sites = runs.map((run): TrainedSite => {
    const facts = isFinetuneRun(run) ? readFinetuneRun(run) : readRun(run);
    return { run, facts, checkpoint: resolveCheckpoint(run, name) };
  });
  const [first] = sites as [TrainedSite, ...TrainedSite[]];
  for (const site of sites) refuseFrozenModel(site);
  refuseOthers(sites);
  const weights = weightsOf(sites, options.weights);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const averages = averageSites(
    sites.map((site, i) => ({ weight: weights[i]!, tensors: weightsOfSite(site) })),
  );
  const { tensors } = first.checkpoint;
  const state = [...averages].map(
    ([name, data]) => [name, floatTensor(tensors.get(name)!.shape, data)] as const,
  );
  const states = sites.map(({ checkpoint }) => checkpoint.state);
  const counted = states.flatMap(({ samples }) => samples ?? []);
  const hashes = states.map(({ dataHash }) => dataHash);
  await makeRun(out, 'average', first.facts, new Map(state), {
    step: Math.max(...states.map(({ step }) => step)),
    samples: counted.length === states.length ? counted.reduce((sum, count) => sum + count, 0) : null,
    networkHash: first.checkpoint.state.networkHash,
    dataHash: createHash('sha256').update(hashes.join('\n')).digest('hex'),
  });
  return {
    run: out,
    task: taskOf(first.facts),
    sites: sites.map(({ run, checkpoint }, i) => ({
      run,
      step: checkpoint.state.step,
      share: weights[i]! / total,
    })),
  };
}

/** How every site begins the next round. */
const NEXT_ROUND: Readonly<Record<AverageSummary['task'], (run: string) => string>> = {
  pretrain: (run) => `p2w pretrain --init ${run} at every site, or p2w export --run ${run} --out exported`,
  classify: (run) =>
    `p2w finetune --init ${run} --load encoder,classifier at every site, or p2w export --run ${run} --out exported`,
  segment: (run) =>
    `p2w finetune --init ${run} --load encoder,decoder,head at every site, or p2w export --run ${run} --out exported`,
  model: (run) =>
    `p2w export --run ${run} --out exported, and p2w finetune --head keep --init with the .onnx file at every site`,
};

/** The summary for people. */
export const formatAverage = ({ run, task, sites }: AverageSummary): string =>
  [
    `made ${run} from ${sites.length === 1 ? '1 run' : `${sites.length} runs`}`,
    ...sites.map(({ run: site, step, share }) => `  ${(100 * share).toFixed(1)} % ${site}, step ${step}`),
    `next: ${NEXT_ROUND[task](shellWord(run))}`,
  ].join('\n');
