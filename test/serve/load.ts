/**
 * A load test of the built `p2w serve`: many good clients, whose every answer is compared, and hostile ones beside them; meanwhile a
 * worker is killed and the model replaced twice. `npx tsx test/serve/load.ts --seconds 30 --clients 200`
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { gzipSync } from 'node:zlib';
import autocannon from 'autocannon';
import { zipSync } from 'fflate';
import { rowsOf } from '../../src/commands/embed.js';
import { resolveConfig } from '../../src/config/pretraining.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { openImageModel } from '../../src/inference/image-model.js';
import { readModelScan } from '../../src/inference/model-scan.js';
import { checkedWindows } from '../../src/inference/predict-scan.js';
import { windowVectors } from '../../src/inference/window-vectors.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { noise } from '../graphs/run.js';
import { writePretrained } from '../inference/models.js';

export interface LoadOptions {
  readonly seconds: number;
  readonly clients: number;
  /** Share of clients that are hostile. */
  readonly hostile: number;
  readonly preset: 'tiny' | 'small' | 'genesis';
  readonly workers: number;
  /** Whether a worker is killed and the model replaced. */
  readonly disturbed: boolean;
}

export interface LoadReport {
  readonly answered: number;
  readonly wrong: number;
  /** Requests of good clients that were not answered with 200. */
  readonly lost: number;
  readonly hostileRequests: number;
  /** Answers to hostile requests by status; 0 is none. */
  readonly hostileStatuses: Readonly<Record<string, number>>;
  readonly requestMs: { readonly p50: number; readonly p99: number };
  readonly windowsPerSecond: number;
  /** Of the same model, called directly with all cores. */
  readonly directWindowsPerSecond: number;
  /** CPU time of a window, in all processes of the service, and called directly: unlike rates, it does not depend on what else the machine does. */
  readonly cpuMsPerWindow: number;
  readonly directCpuMsPerWindow: number;
  readonly healthMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Resident sets of the service and its workers together: medians of the second and of the last quarter. */
  readonly rssMb: { readonly early: number; readonly late: number };
  readonly workerDeaths: number;
  readonly swaps: number;
  readonly leftBehind: number;
}

const quantile = (values: readonly number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))] ??
  Number.NaN;

/** What good clients send, and what each model makes of it. */
interface Expected {
  readonly infer: readonly number[];
  readonly embed: readonly number[];
}

async function expectedOf(
  path: string,
  window: Int16Array,
  scan: string,
): Promise<[version: string, Expected]> {
  const model = openImageModel(path, nodeEngine);
  const [x, y, z] = model.size!;
  const { features } = await model.run(window, [1, z, y, x]);
  const vectors = await windowVectors(
    model,
    await readModelScan(scan, model, () => {}),
    checkedWindows(model, {}, 0),
    'features',
  );
  const [row] = rowsOf('', vectors, 'scan');
  await model.release();
  return [
    model.sha256.slice(0, 12),
    { infer: [...(features!.data as Float32Array)], embed: [...row!.features] },
  ];
}

/** How fast a model is that is called directly. */
async function measureDirectly(path: string, window: Int16Array, seconds: number) {
  const model = openImageModel(path, nodeEngine);
  const [x, y, z] = model.size!;
  const run = () => model.run(window, [1, z, y, x]);
  for (let i = 0; i < 3; i++) await run();
  const [began, used] = [performance.now(), process.cpuUsage()];
  let windows = 0;
  for (; performance.now() - began < 1000 * seconds; windows++) await run();
  const perSecond = windows / ((performance.now() - began) / 1000);
  const { user, system } = process.cpuUsage(used);
  await model.release();
  return { perSecond, cpuMs: (user + system) / 1000 / windows };
}

const isClose = (got: readonly number[], expected: readonly number[]) => {
  const scale = Math.max(...expected.map(Math.abs));
  return got.length === expected.length && got.every((v, i) => Math.abs(v - expected[i]!) <= 1e-5 * scale);
};

/** Sends bytes and waits for a status. @param linger ms before the connection is cut where no answer comes */
function sendRaw(
  port: number,
  parts: readonly (string | Uint8Array)[],
  linger: number,
  gapMs = 0,
): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let status = 0;
    const end = setTimeout(() => socket.destroy(), linger);
    socket.on('data', (bytes) => {
      status ||= Number(/^HTTP\/1\.1 (\d+)/.exec(bytes.toString('latin1'))?.[1] ?? 0);
      socket.end();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(end);
      resolve(status);
    });
    socket.on('connect', async () => {
      for (const part of parts) {
        if (socket.destroyed) return;
        socket.write(part);
        if (gapMs > 0) await sleep(gapMs);
      }
    });
  });
}

/** What hostile clients do. Each gives a status, or 0 for none. */
function hostileActs(port: number): (() => Promise<number>)[] {
  const head = (length: number) =>
    `POST /v1/embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${length}\r\n\r\n`;
  const post = (body: Uint8Array) => sendRaw(port, [head(body.length), body], 60_000);
  const bomb = zipSync({ a: new Uint8Array(200 << 20) }, { level: 9 });
  const many = zipSync(
    Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`${i}`, new Uint8Array(1)])),
  );
  const climbing = zipSync({ '../../../escaped': new Uint8Array(100) });
  const promised = Buffer.from(
    'NRRD0004\ntype: short\ndimension: 3\nsizes: 99999 99999 99999\nencoding: raw\n\n',
  );
  const gzip = gzipSync(new Uint8Array(100 << 20));
  const junk = new Uint8Array(noise(50_000, 1, 1000).buffer);
  return [
    () => post(bomb),
    () => post(many),
    () => post(climbing),
    () => post(promised),
    () => post(gzip),
    () => post(junk),
    () => sendRaw(port, [head(1e12)], 5000),
    () => sendRaw(port, [head(1_000_000), junk], 500), // leaves halfway
    () => sendRaw(port, [head(1000), ...Array.from({ length: 60 }, () => 'x')], 45_000, 1000), // a byte a second
    () => sendRaw(port, [], 8000), // says nothing
    () =>
      sendRaw(
        port,
        ['GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
        5000,
      ),
    () =>
      sendRaw(
        port,
        [
          'POST /v2/models/encoder/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 40000\r\n\r\n',
          '['.repeat(40_000),
        ],
        60_000,
      ),
  ];
}

/** Asks for health every 100 ms, in a thread of its own. */
function probeHealth(url: string): { stop(): Promise<number[]> } {
  const probe = `
    const { parentPort, workerData } = require('node:worker_threads');
    const times = [];
    let stop = false;
    parentPort.once('message', () => { stop = true; });
    (async () => {
      while (!stop) {
        const began = performance.now();
        const ok = await fetch(workerData + '/healthz').then((r) => r.text().then(() => r.ok), () => false);
        times.push(ok ? performance.now() - began : 1e6);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      parentPort.postMessage(times);
      parentPort.close();
    })();`;
  const thread = new Worker(probe, { eval: true, workerData: url });
  return {
    stop: () =>
      new Promise((resolve) => {
        thread.once('message', resolve);
        thread.postMessage('stop');
      }),
  };
}

const rssMb = (pid: number): number => {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
};
const childrenOf = (pid: number): number[] => {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number);
  } catch {
    return [];
  }
};

const TICK_MS = 10;

/** CPU time of a process and of its children that have ended; see proc(5). */
function cpuMs(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    return TICK_MS * (fields[11]! + fields[12]! + fields[13]! + fields[14]!);
  } catch {
    return 0;
  }
}
const cpuOfAll = (pid: number): number => [pid, ...childrenOf(pid)].reduce((sum, one) => sum + cpuMs(one), 0);

interface Started {
  readonly process: ChildProcess;
  readonly url: string;
  readonly events: { readonly event: string; readonly pid?: number }[];
}

function startServe(args: readonly string[]): Promise<Started> {
  const child = spawn(process.execPath, ['dist/bin/p2w.js', 'serve', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const events: Started['events'] = [];
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the service ended: ${code}`)));
    createInterface({ input: child.stderr! }).on('line', (line) => {
      const entry = JSON.parse(line) as { event: string; url?: string; pid?: number };
      if (entry.event !== 'request') events.push(entry);
      if (entry.event === 'listening') resolve({ process: child, url: entry.url!, events });
    });
  });
}

/** Runs the load test. */
export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const { seconds, clients, preset, workers } = options;
  const folder = mkdtempSync(join(tmpdir(), 'p2w-load-'));
  const at = (name: string) => join(folder, name);
  const config = resolveConfig({ preset });
  const files = ['a.onnx', 'b.onnx'].map(at) as [string, string];
  for (const [i, file] of files.entries())
    writePretrained(file, 'encoder', { license: `model ${i}` }, [1, 1, 1], config);
  const [x, y, z] = config.whole;
  const window = Int16Array.from(noise(x * y * z, 1, 1000), Math.round);
  const grid = { spacing: [1, 1, 1], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] } as const;
  const voxels = Int16Array.from(noise(2 * x * y * z, 2, 1000), Math.round);
  await writeNifti(at('scan.nii.gz'), { ...grid, size: [x, y, 2 * z], voxels });
  const expected = new Map([
    await expectedOf(files[0], window, at('scan.nii.gz')),
    await expectedOf(files[1], window, at('scan.nii.gz')),
  ]);
  const direct = await measureDirectly(files[0], window, 5);

  copyFileSync(files[0], at('encoder.onnx'));
  const service = await startServe([
    ...['--model', at('encoder.onnx'), '--port', '0', '--workers', String(workers)],
    ...['--queue', String(2 * clients), '--scratch', at('scratch'), '--max-body', '100M'],
  ]);
  const port = Number(new URL(service.url).port);
  const pid = service.process.pid!;
  const usedBefore = cpuOfAll(pid);
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;

  let [answered, wrong, lost, windows] = [0, 0, 0, 0];
  const check = (of: keyof Expected, count: number) => (status: number, body: string) => {
    if (status !== 200) {
      lost++;
      return;
    }
    answered++;
    windows += count;
    const answer = JSON.parse(body);
    const got = of === 'infer' ? answer.outputs[0].data : answer.vectors[0].features;
    const version = of === 'infer' ? answer.model_version : answer.model.sha256.slice(0, 12);
    if (!isClose(got, expected.get(version)![of])) wrong++;
  };
  const json = Buffer.from(
    JSON.stringify({
      inputs: [
        {
          name: 'hu',
          shape: [1, z, y, x],
          datatype: 'INT16',
          parameters: { binary_data_size: window.byteLength },
        },
      ],
      outputs: [{ name: 'features' }],
    }),
  );
  const inferRequest = {
    ...{ method: 'POST' as const, path: '/v2/models/encoder/infer' },
    headers: { 'Inference-Header-Content-Length': String(json.length) },
    body: Buffer.concat([json, new Uint8Array(window.buffer)]),
    onResponse: check('infer', 1),
  };
  const embedRequest = {
    ...{ method: 'POST' as const, path: '/v1/embed', body: readFileSync(at('scan.nii.gz')) },
    onResponse: check('embed', 2),
  };
  const bad = Math.round(clients * options.hostile);
  const cannon = autocannon({
    ...{ url: service.url, connections: clients - bad, duration: seconds, timeout: 300 },
    requests: [inferRequest, inferRequest, embedRequest],
  });

  const acts = hostileActs(port);
  const hostileStatuses: Record<string, number> = {};
  let hostileRequests = 0;
  const villains = Array.from({ length: bad }, async (_, i) => {
    for (let turn = i; elapsed() < seconds; turn++) {
      const status = await acts[turn % acts.length]!();
      hostileRequests++;
      hostileStatuses[status] = (hostileStatuses[status] ?? 0) + 1;
      await sleep(200);
    }
  });

  const health = probeHealth(service.url);
  const memory: number[] = [];
  const watching = (async () => {
    while (elapsed() < seconds) {
      memory.push([pid, ...childrenOf(pid)].reduce((sum, process) => sum + rssMb(process), 0));
      await sleep(1000);
    }
  })();
  const disturbing = (async () => {
    if (!options.disturbed) return;
    await sleep(300 * seconds);
    const worker = service.events.findLast(({ event }) => event === 'worker-started')!;
    process.kill(worker.pid!, 'SIGKILL');
    for (const [share, file] of [
      [0.5, files[1]],
      [0.75, files[0]],
    ] as const) {
      await sleep(Math.max(0, 1000 * (share * seconds - elapsed())));
      copyFileSync(file, at('next.onnx'));
      renameSync(at('next.onnx'), at('encoder.onnx'));
    }
  })();

  const result = await cannon;
  const took = elapsed();
  const cpu = cpuOfAll(pid) - usedBefore;
  const healthTimes = await health.stop();
  await Promise.all([watching, disturbing, ...villains]);
  const [scratch] = readdirSync(at('scratch'));
  const requests = () =>
    readdirSync(join(at('scratch'), scratch!)).filter((name) => name.startsWith('request-'));
  // Clients that left when the time was over have their work ended between two windows.
  for (let tries = 0; tries < 300 && requests().length > 0; tries++) await sleep(100);
  const leftBehind = requests().length;
  const ended = new Promise((resolve) => service.process.once('exit', resolve));
  service.process.kill('SIGTERM');
  await ended;
  rmSync(folder, { recursive: true, force: true });
  const quarter = Math.floor(memory.length / 4);
  const count = (event: string) => service.events.filter((entry) => entry.event === event).length;
  return {
    ...{ answered, wrong, lost: lost + result.errors + result.timeouts, hostileRequests, hostileStatuses },
    requestMs: { p50: result.latency.p50, p99: result.latency.p99 },
    windowsPerSecond: windows / took,
    directWindowsPerSecond: direct.perSecond,
    cpuMsPerWindow: cpu / windows,
    directCpuMsPerWindow: direct.cpuMs,
    healthMs: {
      p50: quantile(healthTimes, 0.5),
      p99: quantile(healthTimes, 0.99),
      max: quantile(healthTimes, 1),
    },
    rssMb: {
      early: quantile(memory.slice(quarter, 2 * quarter), 0.5),
      late: quantile(memory.slice(-quarter), 0.5),
    },
    workerDeaths: count('worker-died'),
    swaps: count('model-replaced'),
    leftBehind,
  };
}

if (import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '30' },
      clients: { type: 'string', default: '200' },
      hostile: { type: 'string', default: '0.2' },
      preset: { type: 'string', default: 'small' },
      workers: { type: 'string', default: String(Math.min(availableParallelism(), 4)) },
      undisturbed: { type: 'boolean', default: false },
    },
  });
  const report = await runLoad({
    ...{ seconds: Number(values.seconds), clients: Number(values.clients), hostile: Number(values.hostile) },
    ...{ preset: values.preset as LoadOptions['preset'], workers: Number(values.workers) },
    disturbed: !values.undisturbed,
  });
  console.log(JSON.stringify(report, null, 2));
}
