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
import { type Comparison, compare, type Errors, errorsOf } from './compare.js';

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
  /** How far PyTorch's own float32 is from its float64, of every gradient and every tensor after the steps. */
  readonly float32: Readonly<Record<string, number>>;
}

interface Compared extends Omit<Case, 'float32'> {
  readonly ours?: Comparison;
  readonly pytorch?: Errors;
}

const FILE = new URL('../../../FEATURES.md', import.meta.url);
const SECTION = /(?<=<!-- networks: [^\n]*-->\n)[\s\S]*(?=<!-- \/networks -->)/;

async function compared(folder: string, { float32, ...one }: Case): Promise<Compared> {
  if (one.error) return one;
  const results = decodeModel(readFileSync(join(folder, one.results))).graph.initializers;
  const model = importModel(readFileSync(join(folder, one.model)));
  return {
    ...one,
    ours: await compare(model, results),
    pytorch: errorsOf(results, (key) => float32[key]),
  };
}

const small = (error: number) => (error === 0 ? '0' : error.toExponential(0));

function row({ network, exporter, mode, error, folded, ours, pytorch }: Compared): string {
  const how = `${network} | ${exporter}, ${mode}`;
  if (!ours || !pytorch) return `| ${how} | not exported: ${error?.split(/\.? {2}/)[0]} |${' |'.repeat(7)}`;
  const { parameters, found, errors, fast, nodes, seconds } = ours;
  const statistics = errors.statistics || pytorch.statistics;
  return `| ${[
    how,
    `${found}/${parameters}`,
    folded || '–',
    `${small(errors.gradient)} · ${small(fast.gradient)} · ${small(pytorch.gradient)}`,
    `${small(errors.step)} · ${small(pytorch.step)}`,
    statistics ? `${small(errors.statistics)} · ${small(pytorch.statistics)}` : '–',
    nodes,
    seconds.session.toFixed(1),
    seconds.step.toFixed(2),
  ].join(' | ')} |`;
}

const section = (all: readonly Compared[]): string => `
| network | exporter, mode | parameters | folded | gradient: ours · fast forms · PyTorch | three steps: ours · PyTorch | running statistics | nodes | session, s | step, s |
|---|---|---|---|---|---|---|---|---|---|
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
    console.log(row(result), `worst ${errors?.worst}, ${fast?.worst}`);
    if (missing.length > 0) console.log(`  missing: ${missing}`);
    if (others.length > 0) console.log(`  not PyTorch's: ${others}`);
  }
}
const all = networks.flatMap((network) => readCompared(join(root, network, 'compared.json')));
writeFileSync(
  FILE,
  readFileSync(FILE, 'utf8').replace(SECTION, () => section(all)),
);
