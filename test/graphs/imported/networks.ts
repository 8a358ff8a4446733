/**
 * Imports the networks that `golden/make_networks.py` exported, and compares them with PyTorch. Run by hand:
 * npx tsx test/graphs/imported/networks.ts FOLDER [NETWORK…]
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { examineModel, importModel } from '../../../graphs/imported/import-model.js';
import { decodeModel } from '../../../graphs/onnx/schema.js';
import { type Comparison, compare, type Errors, errorsOf } from './compare.js';

interface Case {
  readonly network: string;
  readonly exporter: string;
  readonly mode: string;
  readonly model: string;
  /** Why there is no model. */
  readonly error?: string;
  readonly folded: number;
  readonly results: string;
  /** How far PyTorch's own float32 is from its float64, of every gradient and every tensor after the steps. */
  readonly float32: Readonly<Record<string, number>>;
}

export interface Compared extends Case {
  readonly compared?: Comparison;
  readonly pytorch?: Errors;
  readonly failed?: string;
}

async function run(folder: string, one: Case): Promise<Compared> {
  if (one.error) return one;
  try {
    const bytes = readFileSync(join(folder, one.model));
    const { initializers } = decodeModel(readFileSync(join(folder, one.results))).graph;
    const results = initializers;
    const { unsupported } = examineModel(bytes);
    if (unsupported.length > 0) return { ...one, failed: JSON.stringify(unsupported) };
    return {
      ...one,
      compared: await compare(importModel(bytes), results),
      pytorch: errorsOf(results, (key) => one.float32[key]),
    };
  } catch (error) {
    return { ...one, failed: String((error as Error).stack) };
  }
}

const [root, ...wanted] = process.argv.slice(2);
if (!root) throw new Error('which folder?');
const names = wanted.length > 0 ? wanted : readdirSync(root);
for (const name of names) {
  const folder = join(root, name);
  const cases = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')) as Case[];
  const done: Compared[] = [];
  for (const one of cases) {
    const result = await run(folder, one);
    done.push(result);
    const c = result.compared;
    const e = (v: number) => v.toExponential(1);
    console.log(
      name,
      '|',
      one.exporter,
      one.mode,
      '|',
      c
        ? `${c.found}/${c.parameters} folded ${one.folded} loss ${e(c.loss)} grad ${e(c.errors.gradient)} ${c.errors.worst} (torch ${e(result.pytorch!.gradient)} ${result.pytorch!.worst}) fast ${e(c.fast.gradient)} ${c.fast.worst} step ${e(c.errors.step)} (${e(result.pytorch!.step)}) stat ${e(c.errors.statistics)} (${e(result.pytorch!.statistics)}) nodes ${c.nodes} session ${c.seconds.session.toFixed(1)} step ${c.seconds.step.toFixed(2)} missing ${c.missing.slice(0, 5)} others ${c.others.slice(0, 5)}`
        : (result.failed ?? result.error),
    );
  }
  writeFileSync(join(folder, 'compared.json'), JSON.stringify(done, null, 1));
}
