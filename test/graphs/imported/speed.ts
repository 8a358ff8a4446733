/**
 * Times training steps of the networks that `golden/make_networks.py` exported against PyTorch, in turns, and
 * writes the table of docs/performance.md about them. Run by hand, on a machine that does nothing else:
 * npx tsx test/graphs/imported/speed.ts FOLDER PYTHON [NETWORK…]
 *
 * What was timed is kept in FOLDER/NETWORK/speed.json, and not timed again but for networks that are named.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeModel } from '../../../graphs/onnx/schema.js';
import { type Benchmark, benchmark } from '../../../src/bench/benchmark.js';
import { spreadOf } from '../../../src/bench/spread.js';
import { nodeProgram, torchRunner } from '../../../src/bench/workloads/workload.js';
import { trainingCase } from './compare.js';

const FILE = new URL('../../../docs/performance.md', import.meta.url);
const SCRIPT = fileURLToPath(new URL('../../golden/step_network.py', import.meta.url));
const SECTION = /(?<=<!-- speed: [^\n]*-->\n)[\s\S]*(?=<!-- \/speed -->)/;
const ROUNDS = 5;
const threads = availableParallelism();

interface Timed extends Benchmark {
  readonly network: string;
  readonly shape: readonly number[];
}

async function timed(folder: string, network: string, python: string): Promise<Timed> {
  const { model, results } = trainingCase(folder);
  const own = {
    name: 'parts2whole',
    command: nodeProgram(import.meta.url, './step.runner', { model, results, threads }),
  };
  const torch = [true, false].map((channelsLast) =>
    torchRunner('torch', python, SCRIPT, { network, threads, channelsLast }),
  );
  const { shape } = decodeModel(readFileSync(results)).graph.initializers.get('x')!;
  return { network, shape, ...(await benchmark(own, [torch], ROUNDS, console.log)) };
}

function row({ network, shape, rows, ratios }: Timed): string {
  const [own, torch] = rows;
  const [ratio] = ratios;
  if (!own || !torch || !ratio) throw new Error(`${network}: PyTorch has not run`);
  const [, memory, allocator] = torch.detail.split(', ');
  return `| ${[
    network,
    shape.join('×'),
    own.seconds.median.toPrecision(2),
    torch.seconds.median.toPrecision(2),
    `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})`,
    `${memory}${allocator ? '' : ', allocator as it is'}`,
    own.facts!.sessionSeconds!.toFixed(1),
  ].join(' | ')} |`;
}

function section(all: readonly Timed[]): string {
  const ratioOf = ({ ratios }: Timed) => ratios[0]!.median;
  return `
| network | input | ours, s | PyTorch, s | ratio | PyTorch's memory | our session, s |
|---|---|---|---|---|---|---|
${all
  .toSorted((a, b) => ratioOf(b) - ratioOf(a))
  .map(row)
  .join('\n')}

The median of the ratios is ${spreadOf(all.map(ratioOf)).median.toFixed(2)}.

`;
}

const [root, python, ...wanted] = process.argv.slice(2);
if (!root || !python)
  throw new Error('say which folder golden/make_networks.py has written, and the interpreter with PyTorch');
const networks = readdirSync(root).sort();
for (const network of wanted.length > 0 ? wanted : networks) {
  const kept = join(root, network, 'speed.json');
  if (existsSync(kept) && !wanted.includes(network)) continue;
  console.log(network);
  writeFileSync(kept, JSON.stringify(await timed(join(root, network), network, python), null, 1));
}
const all = networks
  .map((network) => join(root, network, 'speed.json'))
  .filter(existsSync)
  .map((path) => JSON.parse(readFileSync(path, 'utf8')) as Timed);
writeFileSync(
  FILE,
  readFileSync(FILE, 'utf8').replace(SECTION, () => section(all)),
);
