/** Every ONNX Runtime that trains, as one way to train each. */
import { UserError } from '../../errors.js';
import { nodeEngine } from '../../runtime/node.js';
import type { WebProvider } from '../../runtime/web.js';
import { type WebPackage, wasmEngine, wasmTrainingSession } from '../../runtime/web-node.js';
import { builtFolder, findBrowser, packageFolder, runPage } from './browser.js';
import { type Curve, sessionCurve, stepCurve, type TrainingWorkload } from './curves.js';
import { pack } from './packed.js';
import type { PageEngine, PageResult, PageWorkload } from './page.js';

/** One way to train; throws where it cannot be had. */
export interface Runner {
  readonly name: string;
  readonly place: string;
  train(workload: TrainingWorkload): Promise<Curve>;
}

const IN_NODE = 'Node.js';
const inNode = (name: WebPackage): Runner => ({
  name: `${name}, WebAssembly`,
  place: IN_NODE,
  train: (workload) => stepCurve(wasmEngine(name), workload),
});

/** A page's modules and the workload, as they are served. */
function siteOf(engine: PageEngine, workload: TrainingWorkload, runtime: string) {
  const state = pack(workload.state);
  const batches = workload.batches.map(pack);
  const described: PageWorkload = {
    learningRate: workload.learningRate,
    state: state.contents,
    batches: batches.map(({ contents }) => contents),
  };
  return {
    folders: { dist: builtFolder(), ort: runtime },
    contents: {
      '/workload/engine.json': JSON.stringify(engine),
      '/workload/workload.json': JSON.stringify(described),
      '/workload/step': workload.step,
      '/workload/state': state.bytes,
      ...Object.fromEntries(batches.map(({ bytes }, i) => [`/workload/batch-${i}`, bytes])),
      ...Object.fromEntries(
        Object.entries(workload.artifacts).map(([name, bytes]) => [`/workload/${name}`, bytes]),
      ),
    },
  };
}

const PAGE_SECONDS = 1200;

function inBrowser(
  name: string,
  options: { package: WebPackage; file: string; provider: WebProvider; session?: boolean },
  browser: string | undefined,
): Runner {
  return {
    name,
    place: 'Chromium',
    async train(workload) {
      const found = browser ?? findBrowser();
      if (!found)
        throw new UserError('runtime', { what: 'no Chromium is installed', fix: '--browser names one' });
      const runtime = packageFolder(options.package);
      if (!runtime) throw new UserError('runtime', { what: `${options.package} is not installed` });
      const engine: PageEngine = {
        module: `/ort/${options.file}`,
        provider: options.provider,
        session: options.session ?? false,
        threads: options.package === 'onnxruntime-training-web' ? 1 : workload.threads,
      };
      const text = await runPage(
        found,
        '/dist/src/bench/engines/page.js',
        siteOf(engine, workload, runtime),
        PAGE_SECONDS,
      );
      const result = JSON.parse(text) as PageResult;
      if ('failed' in result) throw new UserError('runtime', { what: result.failed });
      return result;
    },
  };
}

/** Everyone, onnxruntime-node first: the others are compared with it. */
export const runners = (browser: string | undefined): readonly Runner[] => [
  { name: 'onnxruntime-node, CPU', place: IN_NODE, train: (workload) => stepCurve(nodeEngine, workload) },
  inNode('onnxruntime-web'),
  inNode('onnxruntime-training-web'),
  {
    name: 'onnxruntime-training-web, training interface',
    place: IN_NODE,
    train: (workload) => sessionCurve(wasmTrainingSession, workload),
  },
  inBrowser(
    'onnxruntime-training-web, training interface',
    {
      package: 'onnxruntime-training-web',
      file: 'ort.training.wasm.min.mjs',
      provider: 'wasm',
      session: true,
    },
    browser,
  ),
  inBrowser(
    'onnxruntime-web, WebAssembly',
    { package: 'onnxruntime-web', file: 'ort.wasm.bundle.min.mjs', provider: 'wasm' },
    browser,
  ),
  inBrowser(
    'onnxruntime-web, WebGPU',
    { package: 'onnxruntime-web', file: 'ort.webgpu.bundle.min.mjs', provider: 'webgpu' },
    browser,
  ),
];
