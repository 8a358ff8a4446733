/**
 * Imports the networks that `golden/make_networks.py` exported, compares them with PyTorch, and writes the part of FEATURES.md
 * about them. Run by hand: npx tsx test/graphs/imported/networks.ts FOLDER [NETWORK…]
 *
 * What was compared is kept in FOLDER/NETWORK/compared.json, and not compared again but for networks that are named.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { importModel } from '../../../graphs/imported/import-model.js';
import { decodeModel } from '../../../graphs/onnx/schema.js';
import { type Spread, spreadOf } from '../../../src/bench/spread.js';
import { type Comparison, compare, type Errors, EXACT, errorsOf } from './compare.js';

/** An export: see `golden/make_networks.py`. */
interface Case {
  readonly network: string;
  readonly exporter: string;
  readonly mode: string;
  readonly model: string;
  /** Why PyTorch has not exported it. */
  readonly error?: string;
  /** Batch normalisations that were folded. */
  readonly folded: number;
  readonly results: string;
  /** How far PyTorch's own float32 is from its float64, of every gradient and every tensor after the steps, with every rounding of the input. */
  readonly float32: readonly Readonly<Record<string, number>>[];
}

interface Compared extends Omit<Case, 'float32'> {
  readonly ours?: Comparison;
  readonly pytorch?: readonly Errors[];
}

const FILE = new URL('../../../FEATURES.md', import.meta.url);
const SECTION = /(?<=<!-- networks: [^\n]*-->\n)[\s\S]*(?=<!-- \/networks -->)/;
const ROUNDING_SECTION = /(?<=<!-- rounding: [^\n]*-->\n)[\s\S]*(?=<!-- \/rounding -->)/;

async function compared(folder: string, { float32, ...one }: Case): Promise<Compared> {
  if (one.error) return one;
  const results = decodeModel(readFileSync(join(folder, one.results))).graph.initializers;
  const model = importModel(readFileSync(join(folder, one.model)));
  return {
    ...one,
    ours: await compare(model, results),
    pytorch: float32.map((errors) => errorsOf(results, (key) => errors[key])),
  };
}

const small = (error: number) => (error === 0 ? '0' : error.toExponential(0));

type Kind = 'gradient' | 'step' | 'statistics';
const spread = (some: readonly Partial<Errors>[], kind: Kind) =>
  spreadOf(some.map((errors) => errors[kind]!));
const median = (some: readonly Partial<Errors>[], kind: Kind) => small(spread(some, kind).median);

function row({ network, exporter, mode, error, folded, ours, pytorch }: Compared): string {
  const how = `${network} | ${exporter}, ${mode}`;
  if (!ours || !pytorch) return `| ${how} | not exported: ${error?.split(/\.? {2}/)[0]} |${' |'.repeat(4)}`;
  const { parameters, found, errors, fast } = ours;
  const hasStatistics = [...errors, ...pytorch].some(({ statistics }) => statistics > 0);
  return `| ${[
    how,
    `${found}/${parameters}`,
    folded || '–',
    `${median(errors, 'gradient')} · ${median(fast, 'gradient')} · ${median(pytorch, 'gradient')}`,
    `${median(errors, 'step')} · ${median(pytorch, 'step')}`,
    hasStatistics ? `${median(errors, 'statistics')} · ${median(pytorch, 'statistics')}` : '–',
  ].join(' | ')} |`;
}

/** Of those whose gradients are not right to {@link EXACT} with every rounding. */
function rounding(all: readonly Compared[]): string {
  const gradients = all.flatMap(({ network, exporter, mode, ours, pytorch }) =>
    ours && pytorch
      ? [
          {
            how: `${network} | ${exporter}, ${mode}`,
            own: [ours.errors, ours.fast].map((errors) => spread(errors, 'gradient')),
            pytorch: spread(pytorch, 'gradient'),
          },
        ]
      : [],
  );
  const off = gradients.filter(({ own }) => own.some(({ max }) => max > EXACT));
  const roundings = Math.max(...all.map(({ pytorch = [] }) => pytorch.length));
  // The error that a kink makes is the same for both but for its last digits.
  const upTo = (bound: keyof Spread) =>
    off.filter(({ own, pytorch }) => own.every(({ median }) => median <= 1.01 * pytorch[bound])).length;
  const cell = ({ min, median, max }: Spread) => `${small(median)} (${small(min)}–${small(max)})`;
  return `
All gradients of ${gradients.length - off.length} of the ${gradients.length} exports are right to 1e-4. Of the other ${off.length}, with ${roundings} roundings of the input, our median error is
at most PyTorch's median in ${upTo('median')}, and at most PyTorch's largest error in ${upTo('max')}:

| network | exporter, mode | ours | fast forms | PyTorch |
|---|---|---|---|---|
${off.map(({ how, own, pytorch }) => `| ${[how, ...own.map(cell), cell(pytorch)].join(' | ')} |`).join('\n')}

`;
}

const section = (all: readonly Compared[]): string => `
| network | exporter, mode | parameters | folded | gradient: ours · fast forms · PyTorch | three steps: ours · PyTorch | running statistics |
|---|---|---|---|---|---|---|
${all.map(row).join('\n')}

`;

const readCompared = (path: string): Compared[] =>
  existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Compared[]) : [];

const [root, ...wanted] = process.argv.slice(2);
if (!root) throw new Error('say which folder golden/make_networks.py has written');
const networks = readdirSync(root).sort();
for (const network of wanted.length > 0 ? wanted : networks) {
  const folder = join(root, network);
  const known = wanted.includes(network) ? [] : readCompared(join(folder, 'compared.json'));
  const cases = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')) as Case[];
  const done: Compared[] = [];
  for (const one of cases) {
    const old = known.find(({ exporter, mode }) => exporter === one.exporter && mode === one.mode);
    const result = old ?? (await compared(folder, one));
    done.push(result);
    writeFileSync(join(folder, 'compared.json'), JSON.stringify(done, null, 1));
    if (old) continue;
    const { missing = [], others = [], errors, fast } = result.ours ?? {};
    console.log(row(result), `worst ${errors?.[0]?.worst}, ${fast?.[0]?.worst}`);
    if (missing.length > 0) console.log(`  missing: ${missing}`);
    if (others.length > 0) console.log(`  not PyTorch's: ${others}`);
  }
}
const all = networks.flatMap((network) => readCompared(join(root, network, 'compared.json')));
writeFileSync(
  FILE,
  readFileSync(FILE, 'utf8')
    .replace(SECTION, () => section(all))
    .replace(ROUNDING_SECTION, () => rounding(all)),
);
