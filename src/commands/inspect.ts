import { existsSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { formatShape, type Graph, shapeText, sizeOf } from '../../graphs/onnx/types.js';
import { isSampleStore, SAMPLE_SPLITS, type SampleSplit } from '../data/samples/manifest.js';
import { openSampleStore } from '../data/samples/store.js';
import { parseScanPath } from '../data/scan/dicom/scan-path.js';
import { findScans, readScanHeader } from '../data/scan/index.js';
import { isTileStore } from '../data/store/manifest.js';
import { openTileStore } from '../data/store/tiles.js';
import { fromSystemError, UserError } from '../errors.js';
import { readModelFile } from '../onnx-file.js';
import { pretrainedFile } from '../pretrained.js';
import { checkpointPath, listCheckpoints, resolveCheckpoint } from '../runs/checkpoint.js';
import { configPath, isFinetuneRun, readFinetuneRun, readRun } from '../runs/run.js';
import { readSafetensorsHeader } from '../weights/safetensors-file.js';
import { technicalFields } from './header-fields.js';
import { trainingFacts } from './inspect-training.js';

/** What a file is, and what it holds, as names and values in the order in which they should be read. */
export interface Inspection {
  readonly kind: 'scan' | 'scans' | 'tiles' | 'tensors' | 'model' | 'run' | 'samples' | 'fine-tuning run';
  readonly path: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface InspectOptions {
  /** Of an ONNX model: sizes of inputs that it leaves open, for which it is said whether it can be trained. */
  readonly inputSizes?: Readonly<Record<string, readonly number[]>>;
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`;

/** How many values a graph holds: in stored tensors, attributes and bodies. */
function valuesIn({ initializers, nodes }: Graph): number {
  const attributes = nodes.flatMap((node) => Object.values(node.attributes));
  const counts = [
    ...[...initializers.values()].map(({ data }) => data.length),
    ...attributes.map((attribute) => {
      if (attribute.kind === 'graph') return valuesIn(attribute.value);
      return attribute.kind === 'tensor' ? attribute.value.data.length : 0;
    }),
  ];
  return counts.reduce((a, b) => a + b, 0);
}

function inspectModel(path: string, { inputSizes }: InspectOptions): Inspection {
  const { bytes, model } = readModelFile(path);
  const { graph, external = [] } = model;
  const operators: Record<string, number> = {};
  for (const { operator } of graph.nodes) operators[operator] = (operators[operator] ?? 0) + 1;
  const values = (list: typeof graph.inputs) =>
    Object.fromEntries(list.map((v) => [v.name, `${v.type} ${shapeText(v)}`]));
  const beside: Record<string, number> = {};
  for (const { shape, location } of external)
    beside[location.file] = (beside[location.file] ?? 0) + sizeOf(shape);
  const facts = {
    size: megabytes(bytes.length),
    producer: `${model.producer.name} ${model.producer.version}`,
    opsets: model.opsets,
    inputs: values(graph.inputs),
    outputs: values(graph.outputs),
    nodes: graph.nodes.length,
    operators,
    storedValues: valuesIn(graph),
    ...(external.length > 0 ? { valuesInOtherFiles: beside } : {}),
    metadata: model.metadata,
    training: trainingFacts(path, model, inputSizes),
  };
  return { kind: 'model', path, facts };
}

function inspectTensors(path: string): Inspection {
  const { tensors, metadata } = readSafetensorsHeader(path);
  const shapes = Object.fromEntries(
    [...tensors].map(([name, { dtype, shape }]) => [name, `${dtype} ${formatShape(shape)}`]),
  );
  return {
    kind: 'tensors',
    path,
    facts: { size: megabytes(statSync(path).size), ...metadata, tensors: shapes },
  };
}

function inspectTiles(folder: string): Inspection {
  const { manifest, train, validation, hash } = openTileStore(folder);
  return {
    kind: 'tiles',
    path: folder,
    facts: {
      tileSize: manifest.size.join('×'),
      trainingTiles: train.length,
      validationTiles: validation.length,
      hash,
      options: manifest.options,
      scans: Object.fromEntries(
        manifest.scans.map((s) => [
          s.id,
          `${s.split}, ${s.tiles.length} tiles of ${s.size.join('×')} at ${s.spacing.map((v) => v.toFixed(2)).join('×')} mm`,
        ]),
      ),
      failures: manifest.failures,
    },
  };
}

/** Tiles or samples, whichever the manifest is of. */
function inspectSamples(folder: string): Inspection {
  const { manifest, hash } = openSampleStore(folder);
  const { task, kind, classes, size, channels, type, samples, failures } = manifest;
  const count = (split: SampleSplit) => samples.filter((sample) => sample.split === split).length;
  return {
    kind: 'samples',
    path: folder,
    facts: {
      task: `${task}, ${kind}`,
      classes,
      sampleSize: size.join('×'),
      channels,
      type,
      samples: Object.fromEntries(SAMPLE_SPLITS.map((split) => [split, count(split)])),
      patients: new Set(samples.map(({ patient }) => patient)).size,
      hash,
      failures,
    },
  };
}

/** How far the training of a run has come. */
function progressOf(folder: string, steps: number, loss: string) {
  const last = existsSync(checkpointPath(folder, 'last')) ? resolveCheckpoint(folder, 'last').state : null;
  return {
    step: last ? `${last.step} of ${steps}` : 'none saved yet',
    best: last?.best
      ? `${loss} ${last.best.validationLoss.toPrecision(4)} at step ${last.best.step}`
      : 'none',
    checkpoints: listCheckpoints(folder).map(({ step }) => step),
  };
}

function inspectFinetuneRun(folder: string): Inspection {
  const { data, format, config } = readFinetuneRun(folder);
  return {
    kind: 'fine-tuning run',
    path: folder,
    facts: {
      task: `${format.task}, ${config.kind}`,
      classes: format.classes,
      data,
      sampleSize: format.size.join('×'),
      begunFrom: config.init.from,
      ...progressOf(folder, config.steps, 'validation loss'),
      configuration: config,
    },
  };
}

function inspectRun(folder: string): Inspection {
  if (isFinetuneRun(folder)) return inspectFinetuneRun(folder);
  const { data, tile, config } = readRun(folder);
  return {
    kind: 'run',
    path: folder,
    facts: {
      preset: config.preset,
      proxy: config.proxy,
      data,
      tileSize: tile.join('×'),
      wholeSize: config.whole.join('×'),
      ...progressOf(folder, config.steps, 'validation MSE'),
      configuration: config,
    },
  };
}

/** What a folder of scans holds: the one that it is of, or all of them; and what was passed over. */
async function inspectFolder(folder: string): Promise<Inspection> {
  const passedOver: string[] = [];
  const options = { passedOver: (line: string) => passedOver.push(line) };
  const paths = await findScans([folder], options);
  const others = passedOver.length > 0 && {
    passedOver: Object.fromEntries(passedOver.map((line) => line.split(': passed over: '))),
  };
  if (paths.length === 1) {
    // One that cannot be read is listed like others where what was passed over may be why.
    const scan = await inspectScan(paths[0]!).catch((error) => {
      if (others && error instanceof UserError) return null;
      throw error;
    });
    if (scan) return { ...scan, facts: { ...scan.facts, ...others } };
  }
  const scans: Record<string, string> = {};
  for (const path of paths) {
    scans[path] = await readScanHeader(path).then(
      ({ format, grid }) =>
        `${format}, ${grid.size.join('×')} voxels of ${grid.spacing.map((mm) => mm.toFixed(2)).join('×')} mm`,
      (error: Error) => error.message.split('\n')[0]!.replace(`${path}: `, ''),
    );
  }
  return {
    kind: 'scans',
    path: folder,
    facts: { scans, ...others },
  };
}

async function inspectScan(path: string): Promise<Inspection> {
  const header = await readScanHeader(path);
  const { format, elementType, grid } = header;
  const { shown, others } = technicalFields(header);
  return {
    kind: 'scan',
    path,
    facts: {
      format,
      elementType,
      size: grid.size.join('×'),
      spacingMm: grid.spacing,
      originMm: grid.origin,
      direction: grid.direction,
      header: shown,
      ...(others > 0 && {
        note: `${others} other field${others > 1 ? 's are' : ' is'} not shown, as free text may name the patient`,
      }),
    },
  };
}

/**
 * Says what a scan, folder of scans, tile store, run, checkpoint, weights file or ONNX model holds; of a model, what can be trained. The
 * name of an encoder that comes with the package is that of its model, unless something here has that name.
 * @throws UserError when it is none
 * @example
 * const { kind } = await inspect('encoder.onnx');
 */
export async function inspect(given: string, options: InspectOptions = {}): Promise<Inspection> {
  const path = existsSync(given) ? given : (pretrainedFile(given, 'model') ?? given);
  try {
    if (parseScanPath(path)) return await inspectScan(path);
    const isFolder = statSync(path).isDirectory();
    if (isFolder && existsSync(configPath(path))) return inspectRun(path);
    const folder = basename(path) === 'manifest.json' ? dirname(path) : path;
    if (isSampleStore(folder)) return inspectSamples(folder);
    if (isTileStore(folder)) return inspectTiles(folder);
    if (isFolder) return await inspectFolder(path);
    if (path.endsWith('.onnx')) return inspectModel(path, options);
  } catch (error) {
    throw fromSystemError(error, path);
  }
  return path.endsWith('.safetensors') ? inspectTensors(path) : await inspectScan(path);
}

/** Facts as indented lines, long lists and texts cut short. */
export function formatInspection({ kind, path, facts }: Inspection): string {
  const MOST = 60;
  const LONGEST = 1000;
  const short = (text: string) =>
    text.length > LONGEST
      ? `${text.slice(0, MOST)}… ${text.length - MOST} more characters (--json shows all)`
      : text;
  const lines = (value: unknown, indent: string): string[] => {
    if (Array.isArray(value) && value.every((v) => typeof v !== 'object'))
      return [`${indent}${value.join(', ')}`];
    const entries = Object.entries(value as object);
    const shown = entries
      .slice(0, MOST)
      .flatMap(([key, inner]) =>
        typeof inner === 'object' &&
        inner !== null &&
        !(Array.isArray(inner) && inner.every((v) => typeof v !== 'object'))
          ? [`${indent}${key}:`, ...lines(inner, `${indent}  `)]
          : [`${indent}${key}: ${short(Array.isArray(inner) ? inner.join(', ') : String(inner))}`],
      );
    return entries.length > MOST
      ? [...shown, `${indent}… ${entries.length - MOST} more (--json shows all)`]
      : shown;
  };
  return [`${path}: ${kind}`, ...lines(facts, '  ')].join('\n');
}
