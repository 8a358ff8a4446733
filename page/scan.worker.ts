/** Reads, encodes and cuts scans beside the page, so that the page never stands still. */
import { zipSync } from 'fflate';
import { readScan } from '../src/browser/scan.js';
import { resizedPart } from '../src/data/proxies/parts2whole/resized-part.js';
import { orientLPS } from '../src/data/scan/geometry.js';
import type { Volume, XYZ } from '../src/data/scan/volume.js';
import { repeatVoxels } from '../src/data/store/block-mean.js';
import { gridOfSpacing, placeOfGrid, readerOf } from '../src/inference/scan-grid.js';
import { meanVector, windowVectors } from '../src/inference/window-vectors.js';
import { type WebProvider, type WebRuntime, webEngine } from '../src/runtime/web.js';
import { archiveNames } from './archive-names.js';
import { gridOfBox, wholeAround } from './box.js';
import type { Calls, Cut, Encoded, Picture, Question, Reply } from './messages.js';
import { type ServedModel, windowOf } from './served-model.js';

/** With its axes along left, posterior, superior. */
let scan: Volume | undefined;

function currentScan(): Volume {
  if (!scan) throw new Error('no scan has been read');
  return scan;
}

/** ONNX Runtime as the service has it installed; with threads where the page may share memory between them. */
async function loadRuntime(provider: WebProvider, threads: number): Promise<WebRuntime> {
  const file = `/assets/ort.${provider}.bundle.min.mjs`;
  const runtime = (await import(file)) as WebRuntime;
  runtime.env.wasm.numThreads = threads;
  return runtime;
}

/** What the service says of a model, for reading scans as it does. */
const valuesOf = ({ name, normalise, inputs: [{ shape }] }: ServedModel) => ({
  path: name,
  normalise,
  channels: shape.length === 5 ? shape[1]! : null,
});

async function encode(
  { bytes, model, provider }: Calls['encode']['ask'],
  onWindows: (done: number, total: number) => void,
): Promise<Encoded> {
  const volume = currentScan();
  const threads = crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  const engine = webEngine({
    name: 'onnxruntime-web',
    provider,
    runtime: () => loadRuntime(provider, threads),
  });
  const began = performance.now();
  const session = await engine.load(bytes, { threads });
  try {
    const values = valuesOf(model);
    const [{ name, type }] = model.inputs;
    const run = async (data: Int16Array | Float32Array, shape: readonly number[]) => {
      // Other questions can only come in between.
      await new Promise((next) => setTimeout(next));
      return session.run({
        [name]: { type, shape, data: type === 'int16' ? Int16Array.from(data) : Float32Array.from(data) },
      });
    };
    const grid = gridOfSpacing(volume, model.spacing);
    const scanOfModel = { volume, grid, read: readerOf(volume, values, 'the scan') };
    const windows = { window: model.window, overlap: 0, batch: 1 };
    const vectors = await windowVectors({ ...values, run }, scanOfModel, windows, 'features', onWindows);
    return { features: meanVector(vectors), seconds: (performance.now() - began) / 1000, threads };
  } finally {
    await session.release();
  }
}

/** Values as shares of the window that a model tells apart. */
function picture(
  size: XYZ,
  values: ArrayLike<number>,
  { low, high }: { low: number; high: number },
): Picture {
  const voxels = Float32Array.from(values, (value) => Math.min(Math.max((value - low) / (high - low), 0), 1));
  return { size, voxels };
}

const averageOf = ({ metadata }: ServedModel) =>
  (metadata.average?.split('x').map(Number) ?? [1, 1, 1]) as unknown as XYZ;

function cut({ box, model }: Calls['cut']['ask']): Cut {
  const volume = currentScan();
  const read = readerOf(volume, valuesOf(model), 'the scan');
  const window = windowOf(model);
  const average = averageOf(model);
  const size = model.window.map((length, i) => length / average[i]!) as unknown as XYZ;
  const wholeBox = wholeAround(box, model.metadata.part);
  const wholeGrid = gridOfBox(wholeBox, size);
  const { low, high } = box;
  const own = high.map((face, i) => face - low[i]!) as unknown as XYZ;
  const voxels = read({ size: own, first: low, step: [1, 1, 1] });
  const part = resizedPart({ voxels, size: own }, { start: [0, 0, 0], size: own }, size, window);
  return {
    input: repeatVoxels(part, size, average),
    part: picture(size, part, window),
    whole: picture(size, read(wholeGrid), window),
    wholeBox,
    grid: placeOfGrid(volume, wholeGrid),
  };
}

async function pack({ files }: Calls['pack']['ask']): Promise<{ archive: Blob }> {
  const contents = await Promise.all(files.map(async (file) => new Uint8Array(await file.arrayBuffer())));
  const names = archiveNames(files.map(({ name }) => name));
  const named = Object.fromEntries(contents.map((bytes, i) => [names[i]!, bytes]));
  return { archive: new Blob([zipSync(named, { level: 0 })]) };
}

const answers: {
  readonly [Name in keyof Calls]: (
    ask: Calls[Name]['ask'],
    onWindows: (done: number, total: number) => void,
  ) => Promise<Calls[Name]['answer']>;
} = {
  async read({ file }) {
    scan = undefined;
    scan = orientLPS(await readScan(file));
    return scan;
  },
  encode,
  pack,
  cut: async (ask) => cut(ask),
};

const say = (reply: Reply) => postMessage(reply);

addEventListener('message', async ({ data: { id, name, ask } }: MessageEvent<Question>) => {
  const answer = answers[name] as (typeof answers)[keyof Calls];
  try {
    say({ id, answer: await answer(ask as never, (done, total) => say({ id, done, total })) });
  } catch (error) {
    say({ id, problem: error instanceof Error ? error.message : String(error) });
  }
});
