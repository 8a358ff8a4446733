import { cpSync, existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { writeArtifacts } from '../../src/commands/artifacts.js';
import { importArtifacts } from '../../src/commands/artifacts-import.js';
import { average, formatAverage } from '../../src/commands/average.js';
import { exportModel } from '../../src/commands/export.js';
import { finetune } from '../../src/commands/finetune.js';
import { prepareSamples } from '../../src/commands/prepare-samples.js';
import { pretrain } from '../../src/commands/pretrain.js';
import { fromSettings } from '../../src/config/settings.js';
import {
  type Checkpoint,
  checkpointPath,
  loadCheckpoint,
  saveCheckpoint,
} from '../../src/runs/checkpoint.js';
import { BALL_COLUMNS, writeBalls } from '../data/samples/labelled-data.js';
import { sampleStore, temporaryFolder } from '../data/store/tiles-sample.js';
import { lastJson, p2w } from './cli.js';
import { p2wHere } from './here.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SETTINGS = [
  ...['whole=16x8x8', 'network.levels=2', 'network.width=2', 'batch=4', 'threads=1', 'workers=0'],
  ...['validation.every=5', 'network.norm.momentum=0.5'],
];
const train = (name: string, flags: Record<string, unknown>, settings: readonly string[] = []) =>
  pretrain({
    data: at('tiles'),
    out: at(name),
    config: fromSettings([...SETTINGS, ...settings], { steps: 5, ...flags }),
  });
const last = (name: string): Checkpoint => loadCheckpoint(checkpointPath(at(name), 'last'));
const networkOf = ({ tensors }: Checkpoint) =>
  [...tensors.keys()].filter((name) => !name.startsWith('optimizer.'));
const values = ({ tensors }: Checkpoint, name: string) => tensors.get(name)!.data as Float32Array;

beforeAll(async () => {
  await sampleStore(at('tiles'));
  await train('north', { seed: 1 });
  await train('south', { seed: 2 });
  await average({ runs: [at('north'), at('south')], out: at('round-1'), weights: [1, 3] });
});

describe('the average of two runs', () => {
  test('is the mean by weight of their last checkpoints, without an optimiser’s state', () => {
    const [north, south, made] = [last('north'), last('south'), last('round-1')];
    expect([...made.tensors.keys()]).toEqual(networkOf(north));
    for (const [name, { shape }] of made.tensors) {
      const [a, b, c] = [values(north, name), values(south, name), values(made, name)];
      expect(shape).toEqual(north.tensors.get(name)!.shape);
      if (name.endsWith('.running_var')) {
        const mean = name.replace('running_var', 'running_mean');
        const apart = values(north, mean).map((v, i) => (v - values(south, mean)[i]!) ** 2 * (3 / 16));
        expect([...c]).toEqual([...c].map((_, i) => expect.closeTo((a[i]! + 3 * b[i]!) / 4 + apart[i]!, 5)));
        expect(apart.some((v) => v > 0)).toBe(true);
      } else expect([...c]).toEqual([...c].map((_, i) => expect.closeTo((a[i]! + 3 * b[i]!) / 4, 6)));
    }
    expect(made.state).toMatchObject({ step: 5, epoch: 0, best: null, samples: 2 * north.state.samples! });
  });

  test('counts runs by their training samples, and does not depend on their order', async () => {
    const runs = [at('north'), at('south')];
    const summary = await average({ runs, out: at('even') });
    expect(summary.sites).toEqual([
      { run: at('north'), step: 5, share: 0.5 },
      { run: at('south'), step: 5, share: 0.5 },
    ]);
    await average({ runs: runs.toReversed(), out: at('turned') });
    const [even, turned] = [last('even'), last('turned')];
    for (const name of even.tensors.keys())
      expect([...values(turned, name)]).toEqual([...values(even, name)].map((v) => expect.closeTo(v, 6)));
  });

  test('is the same of what sites send: averages of one, which are their weights alone', async () => {
    for (const site of ['north', 'south']) {
      const { sites, task } = await average({ runs: [at(site)], out: at(`${site}-sent`) });
      expect([task, sites.map(({ share }) => share)]).toEqual(['pretrain', [1]]);
      for (const name of networkOf(last(site)))
        expect(values(last(`${site}-sent`), name)).toEqual(values(last(site), name));
    }
    const bytes = (name: string) => statSync(checkpointPath(at(name), 'last')).size;
    expect(bytes('north-sent')).toBeLessThan(0.5 * bytes('north'));
    await average({ runs: [at('north-sent'), at('south-sent')], out: at('of-sent') });
    await average({ runs: [at('north'), at('south')], out: at('of-runs') });
    expect(last('of-sent').tensors).toEqual(last('of-runs').tensors);
    expect(last('of-sent').state).toMatchObject({ step: 5, samples: last('of-runs').state.samples });
  });

  test('can be exported, and begins the next round with exactly its weights', async () => {
    const { featureError } = await exportModel({ run: at('round-1'), out: at('encoder') });
    expect(featureError).toBeLessThan(1e-4);

    await train('next', { seed: 3, init: at('round-1'), steps: 1 }, ['learningRate=1e-30']);
    const [made, next] = [last('round-1'), last('next')];
    expect(values(next, 'encoder.0.conv1.weight')).toEqual(values(made, 'encoder.0.conv1.weight'));
    expect(next.state.step).toBe(1);
    await train('random', { seed: 3, steps: 1 }, ['learningRate=1e-30']);
    expect(values(last('random'), 'encoder.0.conv1.weight')).not.toEqual(
      values(made, 'encoder.0.conv1.weight'),
    );

    // The same weights from a file of them.
    const init = at('encoder/weights.safetensors');
    await expect(train('from-file', { seed: 3, init: at('nowhere'), steps: 1 })).rejects.toThrow(
      /no weights/,
    );
    await train('from-file', { seed: 3, init, steps: 1 }, ['learningRate=1e-30']);
    expect(last('from-file').tensors).toEqual(next.tensors);
  });

  test('a run that began with weights goes on to the bit', async () => {
    const init = at('round-1');
    await train('whole', { seed: 4, init, steps: 8 });
    await train('halves', { seed: 4, init, steps: 4 });
    await pretrain({ out: at('halves'), resume: true, config: { steps: 8 } });
    expect(last('halves').tensors).toEqual(last('whole').tensors);
  });

  test('a run that began with weights begins with them again when it was killed before its first step was saved', async () => {
    await train('unharmed', { seed: 4, init: at('round-1') });
    for (const file of ['config.json', 'checkpoints/best.safetensors'])
      cpSync(join(at('unharmed'), file), join(at('killed'), file));
    await pretrain({ out: at('killed'), resume: true });
    const [killed, unharmed] = [last('killed'), last('unharmed')];
    for (const name of unharmed.tensors.keys()) expect(values(killed, name)).toEqual(values(unharmed, name));
  });

  test('p2w average says who counted how much', async () => {
    const args = [at('north'), at('south'), '--weights', '1,3', '--out', at('by-cli')];
    const { code, stdout } = await p2w(['average', ...args]);
    expect(code).toBe(0);
    expect(stdout).toContain('25.0 %');
    expect(last('by-cli').tensors).toEqual(last('round-1').tensors);
    const json = lastJson(
      await p2wHere(['average', at('north'), at('south'), '--out', at('json'), '--json']),
    );
    expect(json).toMatchObject({ run: at('json'), sites: [{ share: 0.5 }, { share: 0.5 }] });
  });
});

describe('is refused', () => {
  const refused = async (options: Partial<Parameters<typeof average>[0]>, message: string | RegExp) => {
    await expect(
      average({ runs: [at('north'), at('south')], out: at('refused'), ...options }),
    ).rejects.toThrow(message);
    expect(existsSync(join(at('refused'), 'config.json'))).toBe(false);
  };

  test('for no run, or the same twice, by whatever path', async () => {
    await refused({ runs: [] }, 'an average needs runs, each of them once');
    symlinkSync(at('north'), at('link'));
    for (const again of [at('north'), `${at('north')}/`, relative('.', at('north')), at('link')])
      await refused({ runs: [at('north'), at('south'), again] }, `got:      ${again} twice`);
  });

  test('but not for weights whose sum is beyond all numbers', async () => {
    const weights = [1e308, 1e308];
    const { sites } = await average({ runs: [at('north'), at('south')], out: at('huge'), weights });
    expect(sites.map(({ share }) => share)).toEqual([0.5, 0.5]);
  });

  test('for weights that are none', async () => {
    for (const weights of [[1], [1, 0], [1, -1], [1, Number.NaN], [1, Number.POSITIVE_INFINITY]])
      await refused({ weights }, 'every run needs a positive weight');
    const { code, stderr } = await p2wHere([
      ...['average', at('north'), at('south'), '--weights', '1,much', '--out', at('refused')],
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain('weights must be numbers separated by commas');
  });

  test('for runs of another network or other images', async () => {
    await train('wide', { steps: 1 }, ['network.width=4']);
    await refused({ runs: [at('north'), at('wide')] }, /network .*"width":4/);
    await train('window', { steps: 1 }, ['window.high=500']);
    await refused({ runs: [at('north'), at('window')] }, /window .*500/);
  });

  test('for weights that are not numbers', async () => {
    await train('broken', { seed: 5 });
    const { tensors, state } = last('broken');
    values({ tensors, state }, 'encoder.0.conv1.weight')[0] = Number.NaN;
    saveCheckpoint(checkpointPath(at('broken'), 'last'), tensors, state);
    await refused({ runs: [at('north'), at('broken')] }, 'weights that are not finite numbers');
  });

  test('for a folder with a run, and a checkpoint that is not there', async () => {
    await expect(average({ runs: [at('north'), at('south')], out: at('north') })).rejects.toThrow(
      'this folder already contains a run',
    );
    await refused({ checkpoint: 77 }, 'this checkpoint does not exist');
  });

  test('for a run that does not know its samples, unless it is said how much it counts', async () => {
    await writeArtifacts({ run: at('north'), out: at('artifacts') });
    await importArtifacts({ artifacts: at('artifacts'), out: at('imported') });
    const runs = [at('imported'), at('south')];
    await refused({ runs }, 'the number of training samples of this run is unknown');
    await average({ runs, out: at('said'), weights: [1, 3] });
    expect(values(last('said'), 'encoder.0.conv1.weight')).toEqual(
      values(last('round-1'), 'encoder.0.conv1.weight'),
    );
  });
});

describe('fine-tuned networks', () => {
  const tune = (
    name: string,
    more: Partial<Parameters<typeof finetune>[0]>,
    settings: readonly string[] = [],
  ) =>
    finetune({
      ...{ data: at('samples'), out: at(name), ...more },
      config: fromSettings(
        [
          ...[
            'network.levels=1',
            'network.width=2',
            'batch=4',
            'hidden=4',
            'threads=1',
            'workers=0',
            'steps=2',
          ],
          ...settings,
        ],
        {},
      ),
    });
  /** A copy of a trial whose config.json says something else. */
  const copyOf = (trial: string, name: string, change: (config: Record<string, unknown>) => object) => {
    cpSync(at(trial), at(name), { recursive: true });
    const path = join(at(name), 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...config, ...change(config) }));
    return at(name);
  };
  const trials = ['tuned-1/trial-01', 'tuned-2/trial-01'];
  const frozen = (config: Record<string, unknown>) => ({
    init: { ...(config.init as object), from: 'encoder.onnx' },
    frozenEncoder: true,
  });

  beforeAll(async () => {
    await writeBalls(at('raw'), { patients: 16, each: 1, size: [16, 16, 8] });
    await prepareSamples({
      ...{ task: 'manifest', input: at('raw/table.csv'), out: at('samples'), columns: BALL_COLUMNS },
      ...{ size: [16, 16, 8], classes: ['none', 'ball'] },
    });
    await tune('tuned-1', { seed: 1 });
    await tune('tuned-2', { seed: 2 });
  });

  test('begin the next round with the average of all of the network', async () => {
    const summary = await average({ runs: trials.map(at), out: at('tuned') });
    expect(formatAverage(summary)).toContain(`p2w finetune --init ${at('tuned')} --load encoder,classifier`);
    const settings = ['learningRate=1e-30', 'init.parts=["encoder","classifier"]'];
    await tune('tuned-next', { init: at('tuned'), seed: 3 }, settings);
    const [made, next] = [last('tuned'), last('tuned-next/trial-01')];
    for (const name of networkOf(made).filter((name) => !name.includes('.running_')))
      expect(values(next, name)).toEqual(values(made, name));
    expect(networkOf(made)).toContain('classifier.output.weight');
  });

  test('are refused with samples of another spacing', async () => {
    const other = copyOf(trials[1]!, 'thick', () => ({ spacing: [1, 1, 5] }));
    await expect(average({ runs: [at(trials[0]!), other], out: at('mixed') })).rejects.toThrow(
      /spacing \[1,1,5\][\s\S]*expected: spacing \[/,
    );
  });

  test('are refused behind a frozen ONNX encoder, whose features each site standardises', async () => {
    const runs = trials.map((trial, i) => copyOf(trial, `frozen-${i}`, frozen));
    await expect(average({ runs, out: at('mixed') })).rejects.toThrow(
      /frozen-0: .*frozen ONNX encoder[\s\S]*encoder\.onnx/,
    );
    await expect(tune('of-frozen', { init: runs[0]! })).rejects.toThrow(
      /--init: the network of this run is an ONNX model[\s\S]*began with encoder\.onnx/,
    );
  });

  test('say how each kind goes on', () => {
    const said = (task: 'pretrain' | 'classify' | 'segment' | 'model') =>
      formatAverage({ run: 'made', task, sites: [{ run: 'one', step: 3, share: 1 }] });
    expect(said('pretrain')).toMatch(/made made from 1 run\n.*one, step 3\nnext: p2w pretrain --init made/);
    expect(said('segment')).toContain('p2w finetune --init made --load encoder,decoder,head');
    expect(said('model')).toContain(
      'p2w export --run made --out exported, and p2w finetune --head keep --init',
    );
  });
});
