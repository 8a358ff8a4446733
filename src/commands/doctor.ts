import { probeModel } from '../../graphs/programs/probe.js';
import { findMpi, type MpiFinding } from '../distributed/mpi-finding.js';
import { freeDiskBytes, freeMemoryBytes, type MachineFacts, machineFacts } from '../machine.js';
import { cudaFacts, cudaFindings, type Finding } from '../runtime/cuda.js';
import { ENGINES } from '../runtime/device.js';
import { listedProviders, probeProvider } from '../runtime/providers.js';
import { probeWasm } from '../runtime/web-node.js';

export interface ProviderReport {
  readonly name: string;
  /** It has run a model, just now. */
  readonly usable: boolean;
  readonly problem: string | null;
  /** What it lacks here, as far as that is known: for CUDA. */
  readonly missing: readonly Finding[];
}

/** An engine that may be installed beside onnxruntime-node: `--engine`. */
export interface EngineReport {
  readonly name: string;
  readonly usable: boolean;
  readonly problem: string | null;
}

export interface DoctorReport {
  /** Everything that training on the CPU needs is there. */
  readonly ok: boolean;
  readonly machine: MachineFacts;
  readonly providers: readonly ProviderReport[];
  readonly engines: readonly EngineReport[];
  readonly mpi: MpiFinding;
  readonly freeMemoryBytes: number;
  readonly freeDiskBytes: number;
  /** What is missing, and the command that mends it. */
  readonly advice: readonly string[];
}

const LEAST_NODE = [20, 19];
const GIGA = 2 ** 30;

const nodeIsNewEnough = () => {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major! > LEAST_NODE[0]! || (major === LEAST_NODE[0] && minor! >= LEAST_NODE[1]!);
};

/**
 * What this machine can do.
 * @param model bytes of an ONNX model that every provider must run to count; one convolution without it
 * @example
 * const { ok, advice } = await doctor();
 */
export async function doctor(model: Uint8Array = probeModel()): Promise<DoctorReport> {
  const providers: ProviderReport[] = [];
  for (const name of await listedProviders()) {
    const problem = await probeProvider(name, model);
    const missing = name === 'cuda' ? cudaFindings(cudaFacts(), problem) : [];
    providers.push({ name, usable: problem === null, problem, missing });
  }
  const engines: EngineReport[] = [];
  for (const name of ENGINES.filter((engine) => engine !== 'node')) {
    const problem = await probeWasm(`onnxruntime-${name}`, model);
    engines.push({ name, usable: problem === null, problem });
  }
  const cpu = providers.find(({ name }) => name === 'cpu');
  const [memory, disk] = [freeMemoryBytes(), freeDiskBytes('.')];
  const machine = machineFacts();
  const advice = [
    ...(nodeIsNewEnough() ? [] : [`Node.js ${LEAST_NODE.join('.')} or later is needed: https://nodejs.org`]),
    ...(cpu?.usable
      ? []
      : [
          'ONNX Runtime does not run here. It supports Linux (glibc) and Windows on x64 and arm64, and macOS on arm64. If its installation failed behind a firewall, skip its download: echo onnxruntime-node-install=skip >> .npmrc && npm install onnxruntime-node',
        ]),
    ...(machine.features && !machine.features.includes('avx2') && process.arch === 'x64'
      ? ['this CPU has no AVX2: training will be slow']
      : []),
    ...(memory < 2 * GIGA
      ? ['less than 2 GiB of memory is free: close other programs, or use --preset tiny']
      : []),
    ...(disk < 2 * GIGA
      ? ['less than 2 GiB of disk space is free in this folder: the tiles of one CT take about 50 MB']
      : []),
  ];
  return {
    ok: nodeIsNewEnough() && cpu?.usable === true,
    machine,
    providers,
    engines,
    mpi: await findMpi(),
    freeMemoryBytes: memory,
    freeDiskBytes: disk,
    advice,
  };
}

/** The report for people. */
export function formatDoctor({
  machine,
  providers,
  engines,
  mpi,
  freeMemoryBytes: memory,
  freeDiskBytes: disk,
  advice,
  ok,
}: DoctorReport): string {
  return [
    `Node.js           ${machine.node} on ${machine.platform}`,
    `processor         ${machine.cpu}, ${machine.cores} cores${machine.features ? `, ${machine.features}` : ''}`,
    `memory            ${(memory / GIGA).toFixed(1)} GiB free of ${machine.memory}`,
    `disk              ${(disk / GIGA).toFixed(1)} GiB free in this folder`,
    `onnxruntime-node  ${machine.onnxruntime}`,
    ...providers.flatMap(({ name, usable, problem, missing }) => [
      `  ${name.padEnd(16)}${usable ? 'works: it ran a model' : `does not work: ${problem}`}`,
      ...missing.flatMap(({ what, fix }) => [`    - ${what}`, ...fix.map((line) => `      ${line}`)]),
    ]),
    ...engines.map(
      ({ name, problem }) =>
        `${`onnxruntime-${name}`.padEnd(25)} ${problem === null ? `works: --engine ${name}` : `does not work: ${problem}`}`,
    ),
    `MPI               ${mpi.library ? `${mpi.library}: --distributed mpi` : `none: ${mpi.problem}`}`,
    ...advice.map((line) => `! ${line}`),
    ok ? 'ready: training runs on the CPU' : 'not ready',
  ].join('\n');
}
