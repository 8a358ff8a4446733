import { survey } from '../../graphs/forms/choice.js';
import { type PresetName, resolveConfig } from '../config/pretraining.js';
import { blockedLayout } from '../execution/blocked-layout.js';
import { timePattern } from '../execution/form-times.js';
import { buildGraph, sessionOptions } from '../execution/models.js';
import { openEngine } from '../execution/open-engine.js';
import { type MachineFacts, machineFacts } from '../machine.js';
import { type Reporting, silent } from '../progress.js';
import { proxyWorkload } from '../train/proxy.js';
import { checkCounts } from './bench.js';
import { type Spread, spreadOf } from './spread.js';

export interface FormsBenchOptions extends Reporting {
  readonly preset: PresetName;
  readonly batch: number;
  readonly rounds: number;
  /** 0 is one a core. */
  readonly threads?: number;
}

/** One form of one pattern; a change of layout has the new layout for its name. */
export interface FormRow {
  readonly pattern: string;
  readonly form: string;
  readonly seconds: Spread;
}

/** How many times as long the plain form takes, round by round. */
export interface FormRatio extends Spread {
  readonly pattern: string;
  readonly form: string;
}

export interface FormsBench {
  readonly workload: Required<Omit<FormsBenchOptions, keyof Reporting>>;
  readonly machine: MachineFacts;
  readonly rows: readonly FormRow[];
  readonly ratios: readonly FormRatio[];
}

/**
 * Times every form of every pattern of a training step, and the changes of layout between them.
 * @throws UserError when the rounds or the batch make no sense
 */
export async function benchForms(options: FormsBenchOptions): Promise<FormsBench> {
  const { preset, batch, rounds, threads = 0, reporter = silent } = options;
  checkCounts(options);
  const config = resolveConfig({ preset, config: { batch, microBatch: batch, threads } });
  const engine = await openEngine(config.device, config.engine);
  const blocked = await blockedLayout(engine);
  const { patterns } = survey(buildGraph('step', proxyWorkload(config, config.whole), config).graph, blocked);
  const session = sessionOptions(config, blocked);
  const progress = reporter.start({ label: 'bench forms', total: patterns.length, unit: 'patterns' });
  const [rows, ratios]: [FormRow[], FormRatio[]] = [[], []];
  try {
    for (const [i, pattern] of patterns.entries()) {
      const timed = await timePattern(pattern, engine, {
        session,
        rounds,
        slowest: Number.POSITIVE_INFINITY,
      });
      const isCall = !pattern.key.startsWith('layout ');
      for (const [form, seconds] of Object.entries(timed)) {
        const row = { pattern: pattern.key, form };
        rows.push({ ...row, seconds: spreadOf(seconds) });
        if (isCall && form !== 'plain')
          ratios.push({ ...row, ...spreadOf(seconds.map((s, round) => timed.plain![round]! / s)) });
      }
      progress.update(i + 1);
    }
  } finally {
    progress.stop();
  }
  return { workload: { preset, batch, rounds, threads }, machine: machineFacts(), rows, ratios };
}

/** The result for people. */
export function formatForms({ workload, machine, rows, ratios }: FormsBench): string {
  const patterns = [...new Set(rows.map((row) => row.pattern))];
  const lines = patterns.flatMap((pattern) => [
    // The forms follow line by line.
    pattern.replaceAll('float32', '').replace(/ [^ ]*\|[^ ]*$/, ''),
    ...rows
      .filter((row) => row.pattern === pattern)
      .map(({ form, seconds }) => {
        const ratio = ratios.find((r) => r.pattern === pattern && r.form === form);
        const time = `${(1000 * seconds.median).toFixed(3)} ms`;
        return `  ${form.padEnd(12)}${time.padStart(14)}${ratio ? `${ratio.median.toFixed(2)} × plain`.padStart(16) : ''}`;
      }),
  ]);
  return [
    `forms of a training step, ${workload.preset}, batch ${workload.batch}, medians of ${workload.rounds} rounds; ${machine.cpu}, ${machine.cores} cores`,
    ...lines,
  ].join('\n');
}
