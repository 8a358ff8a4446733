import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type PresetName, resolveConfig } from '../config.js';

/** What is measured: one training step. */
export interface StepWork {
  readonly preset: PresetName;
  readonly batch: number;
  readonly threads: number;
}

/** A way to run a contestant: a command line, and what to call it. */
export interface Entry {
  readonly name: string;
  readonly command: readonly string[];
}

export const PEERS = ['torch', 'onnxruntime-plain'] as const;
export type Peer = (typeof PEERS)[number];

/** A child program of this folder, from the sources as well as from the built files. */
function node(name: string, work: object): string[] {
  const extension = extname(import.meta.url);
  const path = fileURLToPath(new URL(`./${name}${extension}`, import.meta.url));
  const loader = extension === '.ts' ? ['--import', import.meta.resolve('tsx')] : [];
  return [process.execPath, ...loader, path, JSON.stringify(work)];
}

/** The scripts stay beside the sources: nothing compiles them. */
const script = (name: string) =>
  fileURLToPath(
    new URL(
      extname(import.meta.url) === '.ts' ? `./peers/${name}` : `../../../src/bench/peers/${name}`,
      import.meta.url,
    ),
  );

/** This package's own entry. */
export const ownStep = (work: StepWork): Entry => ({
  name: 'parts2whole',
  command: node('step.child', { ...work, forms: 'fast' }),
});

/** Every configuration of a peer that may be its fastest. */
export function peerSteps(peer: Peer, work: StepWork, python: string): Entry[] {
  if (peer === 'onnxruntime-plain')
    return [{ name: peer, command: node('step.child', { ...work, forms: 'plain' }) }];
  const { network, whole } = resolveConfig({ preset: work.preset });
  const [x, y, z] = whole;
  const shared = { batch: work.batch, width: network.width, levels: network.levels, size: [z, y, x] };
  const threads = [...new Set([work.threads, 1])];
  return threads.flatMap((count) =>
    [true, false].flatMap((channelsLast) =>
      [false, true].map((compile) => ({
        name: peer,
        command: [
          python,
          script('torch_step.py'),
          JSON.stringify({ ...shared, threads: count, channelsLast, compile }),
        ],
      })),
    ),
  );
}
