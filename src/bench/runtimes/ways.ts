/** All the ways to run a model: runtimes, devices, threads, precisions. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PRODUCER } from '../../../graphs/onnx/model.js';
import { UserError } from '../../errors.js';
import type { Precision } from '../../inference/precision.js';
import type { WebProvider } from '../../runtime/web.js';
import { builtFolder, findBrowser, packageFolder, runPage } from '../engines/browser.js';
import { Runner, type RunnerSpec } from '../runner.js';
import { nodeProgram, threadCounts } from '../workloads/workload.js';
import type { RuntimeJob } from './job.js';
import { isEnough, type Patience } from './measure.js';
import type { PageJob, PageTimes } from './page.js';
import type { RuntimeRow } from './result.js';
import { fileOf, type Subject } from './subject.js';

const PAGE_SECONDS = 900;

/** The share of values that are not above this. @param sorted ascending */
const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!;

function statisticsOf(seconds: readonly number[]): Pick<RuntimeRow, 'seconds' | 'runs' | 'throughput'> {
  const sorted = seconds.toSorted((a, b) => a - b);
  const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => percentile(sorted, share)) as [
    number,
    number,
    number,
  ];
  return {
    seconds: { p50, p90, p99, min: sorted[0]!, max: sorted.at(-1)! },
    runs: seconds.length,
    throughput: seconds.length / seconds.reduce((sum, value) => sum + value, 0),
  };
}

/** One way to run the model, before it is known whether it can be had. */
export interface Way extends Pick<RuntimeRow, 'name' | 'place' | 'precision' | 'threads'> {
  measure(patience: Patience): Promise<Omit<RuntimeRow, 'name' | 'place' | 'precision' | 'threads'>>;
}

export const unavailableError = (reason: string) => new UserError('runtime', { what: reason });

/** A way in a process of its own. */
function inNode(way: Omit<Way, 'place' | 'measure'>, job: Omit<RuntimeJob, 'threads'>): Way {
  const spec: RunnerSpec = {
    name: way.name,
    command: nodeProgram(import.meta.url, './runtime.runner', {
      ...job,
      threads: way.threads,
    }),
  };
  return {
    ...way,
    place: 'Node.js',
    async measure(patience) {
      const runner = new Runner(spec);
      try {
        const info = await runner.ready();
        if ('unavailable' in info) throw unavailableError(info.unavailable);
        const seconds: number[] = [];
        let peakBytes = 0;
        while (!isEnough(seconds, patience)) {
          const round = await runner.round();
          seconds.push(round.seconds);
          peakBytes = round.peakBytes;
        }
        const { loadSeconds = 0, error = 0 } = info.facts ?? {};
        return { detail: info.detail, loadSeconds, error, peakBytes, ...statisticsOf(seconds) };
      } finally {
        await runner.stop();
      }
    },
  };
}

/** A way on a page of Chromium. */
function inBrowser(
  way: Omit<Way, 'place' | 'measure'>,
  { folder, file, provider, model }: { folder: string; file: string; provider: WebProvider; model: string },
  browser: string | undefined,
): Way {
  return {
    ...way,
    place: 'Chromium',
    async measure(patience) {
      const found = browser ?? findBrowser();
      if (!found) throw unavailableError('no Chromium is installed; --browser names one');
      const runtime = packageFolder('onnxruntime-web');
      if (!runtime) throw unavailableError('onnxruntime-web is not installed');
      const job: PageJob = { module: `/ort/${file}`, provider, threads: way.threads, patience };
      const files = ['inputs.json', 'inputs.bin', 'reference.json', 'reference.bin'];
      const contents = {
        '/job/job.json': JSON.stringify(job),
        '/job/model': readFileSync(join(folder, model)),
        ...Object.fromEntries(files.map((name) => [`/job/${name}`, readFileSync(join(folder, name))])),
      };
      const text = await runPage(
        found,
        '/dist/src/bench/runtimes/page.js',
        { folders: { dist: builtFolder(), ort: runtime }, contents },
        PAGE_SECONDS,
      );
      const times = JSON.parse(text) as PageTimes;
      if ('failed' in times) throw unavailableError(times.failed);
      const { seconds, adapter, ...rest } = times;
      const detail = `onnxruntime-web, ${provider}${adapter === null ? '' : ` on ${adapter}`}`;
      return { detail, peakBytes: null, ...rest, error: rest.error ?? 0, ...statisticsOf(seconds) };
    },
  };
}

/** Everything there might be, the reference first: onnxruntime-node with one thread in float32. */
export function waysOf(
  { model, artifacts }: Subject,
  folder: string,
  most: number,
  browser: string | undefined,
): Way[] {
  const counts = threadCounts(most).toReversed();
  const job = { folder, model: fileOf('float32'), runtime: 'node', device: 'cpu', forms: false } as const;
  const float32 = 'float32' as const;
  const page = { folder, model: fileOf(float32) };
  const isOurs = 'graph' in model && model.producer.name === PRODUCER.name && artifacts === undefined;
  const precisions = artifacts ? [] : (['float16', 'int8'] as const);
  const all = (threads: number, name: string, precision: Precision = float32) => ({
    name,
    precision,
    threads,
  });
  return [
    ...counts.map((threads) => inNode(all(threads, 'onnxruntime-node, CPU'), job)),
    ...(isOurs ? [inNode(all(most, 'onnxruntime-node, CPU, our forms'), { ...job, forms: true })] : []),
    ...precisions.map((precision) =>
      inNode(all(most, 'onnxruntime-node, CPU', precision), { ...job, model: fileOf(precision) }),
    ),
    ...(['cuda', 'webgpu'] as const).flatMap((device) =>
      [float32, ...precisions.filter((precision) => precision === 'float16')].map((precision) =>
        inNode(all(most, `onnxruntime-node, ${device === 'cuda' ? 'CUDA' : 'WebGPU'}`, precision), {
          ...{ ...job, device, model: fileOf(precision) },
        }),
      ),
    ),
    ...counts.map((threads) =>
      inNode(all(threads, 'onnxruntime-web, WebAssembly'), { ...job, runtime: 'web' }),
    ),
    ...(artifacts
      ? [
          inNode(all(1, 'onnxruntime-training-web, WebAssembly'), { ...job, runtime: 'training-web' }),
          inNode(all(1, 'onnxruntime-training-web, training interface'), {
            ...{ ...job, runtime: 'training-interface', model: 'artifacts' },
          }),
        ]
      : []),
    ...counts.map((threads) =>
      inBrowser(
        all(threads, 'onnxruntime-web, WebAssembly'),
        { ...page, file: 'ort.wasm.bundle.min.mjs', provider: 'wasm' },
        browser,
      ),
    ),
    inBrowser(
      all(1, 'onnxruntime-web, WebGPU'),
      { ...page, file: 'ort.webgpu.bundle.min.mjs', provider: 'webgpu' },
      browser,
    ),
  ];
}
