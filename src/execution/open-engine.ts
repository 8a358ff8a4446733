import { probeModel } from '../../graphs/programs/probe.js';
import { UserError } from '../errors.js';
import { cudaFacts, cudaFindings } from '../runtime/cuda.js';
import { type EngineName, resolveDevice } from '../runtime/device.js';
import type { Engine } from '../runtime/engine.js';
import { nodeEngine, nodeEngineOn } from '../runtime/node.js';
import { probeProvider, providerFor } from '../runtime/providers.js';
import { wasmEngine } from '../runtime/web-node.js';

/**
 * The engine for a device: `auto`, `cpu`, `cuda` or `cuda:N`. A GPU has run a model before it is returned; it is that GPU
 * or an error, never another device in its place.
 * @param options.tf32 lets a GPU shorten the operands of products to 10 bits, in all that this process runs there
 * @throws UserError of kind `runtime` that says what CUDA lacks here, or that a package is not installed; of kind
 *   `usage` for what is no device, or no device of this engine
 * @example
 * const engine = await openEngine('cuda:0');
 */
export async function openEngine(
  text: string,
  name: EngineName = 'node',
  { tf32 = false }: { readonly tf32?: boolean } = {},
): Promise<Engine> {
  const device = resolveDevice(text);
  if (tf32 && device === 'cpu')
    throw new UserError('config', {
      what: 'TF32 is a precision of NVIDIA GPUs',
      where: 'precision',
      got: `tf32 on ${device}`,
      expected: 'fp32, or --device cuda',
    });
  if (name !== 'node') {
    if (device === 'cpu') return wasmEngine(`onnxruntime-${name}`);
    throw new UserError('usage', {
      what: `the engine ${name} runs on the CPU only`,
      where: '--device',
      got: text,
      expected: 'cpu, or --engine node',
    });
  }
  if (device === 'cpu') return nodeEngine;
  // NVIDIA's libraries would shorten float32 to TF32, with 10 bits, and ONNX Runtime for Node.js has no option against it.
  process.env.NVIDIA_TF32_OVERRIDE ??= tf32 ? '1' : '0';
  const problem = await probeProvider(providerFor(device), probeModel());
  if (problem === null) return nodeEngineOn(device);
  const findings = cudaFindings(cudaFacts(), problem);
  const indented = (lines: readonly string[]) => lines.join(`\n${' '.repeat(12)}`);
  throw new UserError('runtime', {
    what: 'CUDA cannot be used, and p2w does not fall back to another device',
    where: `--device ${device}`,
    got: indented([problem, ...findings.map(({ what }) => what)]),
    fix: indented([
      ...findings.flatMap(({ fix }) => fix),
      'run p2w doctor to check again, or use --device cpu',
    ]),
  });
}
