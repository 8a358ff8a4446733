/** The sources that the paper's experiments compare, and which of them share a pre-training. */
import { UserError } from '../errors.js';
import type { ExperimentName, Source } from './schema.js';

const ENCODER = { classification: 'encoder', segmentation: 'encoder' };
const BOTH = { classification: 'encoder', segmentation: 'encoder,decoder' };

/** Table 1: what pre-training is worth. Models Genesis hands on its decoder too. */
const METHODS: readonly Source[] = [
  { name: 'random', pretrain: null, checkpoint: 'best', load: ENCODER },
  { name: 'genesis', pretrain: ['proxy=genesis', 'network.skip=true'], checkpoint: 'best', load: BOTH },
  { name: 'parts2whole', pretrain: [], checkpoint: 'best', load: ENCODER },
];

const scale = (name: string, low: number, high: number, more: readonly string[] = []): Source => ({
  name,
  pretrain: [`part.scale=[${low},${high}]`, ...more],
  checkpoint: 'best',
  load: more.length > 0 ? BOTH : ENCODER,
});

/** Table 2: skip connections, and sizes of parts. */
const SETTINGS: readonly Source[] = [
  scale('[1⁄16, 1] with skips', 1 / 16, 1, ['network.skip=true']),
  scale('[1⁄16, 1]', 1 / 16, 1),
  scale('[1⁄16, 1⁄2]', 1 / 16, 1 / 2),
  scale('[1⁄16, 1⁄4]', 1 / 16, 1 / 4),
  scale('[1⁄16, 1⁄8]', 1 / 16, 1 / 8),
  scale('[1⁄32, 1⁄16]', 1 / 32, 1 / 16),
];

/** What the paper leaves to the future, in its best setting: rows of their own below Table 2. */
const BEYOND: readonly Source[] = [
  { name: 'with changed intensities', pretrain: ['intensity=0.2'], checkpoint: 'best', load: ENCODER },
  {
    name: 'with a contrastive term',
    pretrain: ['contrastive.weight=0.01'],
    checkpoint: 'best',
    load: ENCODER,
  },
];

const PARTS2WHOLE = METHODS.filter(({ name }) => name === 'parts2whole');

/** The sources that an experiment compares, if its file names no others. */
export const SOURCES: Readonly<Record<ExperimentName, readonly Source[]>> = {
  table1: METHODS,
  table2: [...SETTINGS, ...BEYOND],
  fig2: METHODS,
  fig3: PARTS2WHOLE,
};

/** The first of the sources that are pre-trained alike: its run is theirs. @param source one of them */
export function pretrainedAs(source: Source, sources: readonly Source[]): Source {
  const key = ({ pretrain, tiles }: Source) => JSON.stringify([pretrain, tiles]);
  return sources.find((other) => key(other) === key(source))!;
}

/** What a setting has weights begin from, where it is one that says so. */
export const initOf = (setting: string): string | undefined => /^init(?:\.from)?=(.+)$/s.exec(setting)?.[1];

/** The source whose pre-training's checkpoint 0 is the untrained encoder. @throws UserError when none begins with random weights */
export function anyPretrained(sources: readonly Source[]): Source {
  const found = sources.find(({ pretrain }) => pretrain !== null && !pretrain.some(initOf));
  if (found) return found;
  throw new UserError('config', {
    what: 'encoders to look at come from pre-training runs, the untrained one too',
    where: 'sources',
    expected: 'one with a list of settings in "pretrain", and without "init"',
  });
}
