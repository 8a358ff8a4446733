import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { completeWeights, exportTrained } from '../../graphs/imported/export-trained.js';
import { importModel } from '../../graphs/imported/import-model.js';
import { metadataOf } from '../../graphs/imported/metadata.js';
import { GraphError } from '../../graphs/onnx/types.js';
import { decodeCheckpoint, type OnDeviceCheckpoint } from '../../graphs/ort-training/checkpoint.js';
import { slotName } from '../../graphs/programs/built.js';
import { fromSystemError, UserError } from '../errors.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import { withFormerSelfTest } from '../inference/self-test.js';
import { ofFile } from '../of-file.js';
import { modelPath } from '../pretrained.js';
import { networkHash } from '../runs/checkpoint.js';
import { nodeEngine } from '../runtime/node.js';
import { shellWord } from '../shell.js';
import { freshState } from '../train/fresh-state.js';
import { checkUnchanged, importOptions, openTrainedFile } from '../train/imported.js';
import { makeRun } from '../train/make-run.js';
import {
  type ArtifactsManifest,
  artifactsManifestPath,
  FILES,
  factsOf,
  MOMENT_SLOTS,
  modelFactsOf,
  readArtifactsManifest,
} from './artifacts-manifest.js';

export interface ImportOptions {
  /** Folder that `p2w artifacts` wrote. */
  readonly artifacts: string;
  /** What the training left; the checkpoint of the folder without it. */
  readonly checkpoint?: string;
  /** Folder of the run that is made, or of an ONNX model. */
  readonly out: string;
}

export interface ImportSummary {
  /** Folder of a run, or the file of a model. */
  readonly run: string;
  readonly task: ArtifactsManifest['task'];
  /** Updates that the weights have seen, as far as the checkpoint knows. */
  readonly step: number;
}

/** Every parameter of a checkpoint, in the shapes of the network. @throws UserError naming what differs */
function tensorsOf(
  found: OnDeviceCheckpoint,
  { parameters }: ArtifactsManifest,
  where: string,
): Map<string, Float32Array> {
  const given = new Map([...found.trainable, ...found.frozen].map((tensor) => [tensor.name, tensor]));
  const wrong = parameters.flatMap(({ name, shape }) => {
    const tensor = given.get(name);
    if (tensor && tensor.shape.join() === shape.join()) return [];
    return [`${name} is ${tensor ? `[${tensor.shape.join(',')}]` : 'missing'}, not [${shape.join(',')}]`];
  });
  if (wrong.length === 0) return new Map(parameters.map(({ name }) => [name, given.get(name)!.data]));
  throw new UserError('input', {
    what: 'this checkpoint belongs to a different network',
    where,
    got: wrong.slice(0, 3).join('; ') + (wrong.length > 3 ? `; and ${wrong.length - 3} more` : ''),
  });
}

/** Writes a model with trained weights. @returns the file @throws UserError when the original has gone or changed */
async function writeModel(
  manifest: ArtifactsManifest,
  values: ReadonlyMap<string, Float32Array>,
  artifacts: string,
  out: string,
): Promise<string> {
  const { model, sha256, inputSizes, freeze } = modelFactsOf(manifest, artifactsManifestPath(artifacts));
  const file = openTrainedFile(model);
  checkUnchanged(file, sha256, artifactsManifestPath(artifacts));
  const { bytes, externalData } = file;
  const path = join(out, basename(modelPath(model)));
  if (existsSync(path))
    throw new UserError('usage', {
      what: 'there is a model of this name already',
      where: path,
      fix: 'choose another --out',
    });
  const trained = ofFile(model, () => {
    const options = { ...importOptions({ freeze, split: 'vectors' }, inputSizes), externalData };
    const imported = importModel(bytes, options);
    return exportTrained(bytes, imported, completeWeights(imported, values), externalData);
  });
  const tested = await withFormerSelfTest(trained, metadataOf(bytes), nodeEngine, model);
  makeFolder(out);
  writeFileAtomic(path, tested);
  return path;
}

/**
 * Brings a checkpoint that any binding of ONNX Runtime has saved back into a run, which can be exported, fine-tuned from,
 * reported on: weights, running statistics, and AdamW's moments where it has them. Of an ONNX model the model itself is written.
 * @throws UserError when a file is missing, damaged, or of another network, or when there is a run in `out`
 * @example
 * await importArtifacts({ artifacts: 'artifacts', out: 'runs/back' });
 */
export async function importArtifacts({ artifacts, checkpoint, out }: ImportOptions): Promise<ImportSummary> {
  const manifest = readArtifactsManifest(artifacts);
  const path = checkpoint ?? join(artifacts, FILES.checkpoint);
  let found: OnDeviceCheckpoint;
  try {
    found = decodeCheckpoint(readFileSync(path));
  } catch (error) {
    if (error instanceof GraphError)
      throw new UserError('input', { what: error.message, where: path, cause: error });
    throw fromSystemError(error, path);
  }
  const values = tensorsOf(found, manifest, path);
  const step = found.optimizer?.step ?? 0;
  if (manifest.task === 'model')
    return { run: await writeModel(manifest, values, artifacts, out), task: manifest.task, step };
  const facts = factsOf(manifest, artifactsManifestPath(artifacts));
  const { config } = facts;
  const parameters = manifest.parameters.map((p) => ({
    ...{ ...p, rate: 1 },
    initializer: { kind: 'constant', value: 0 } as const,
  }));
  const state = freshState(parameters, config, values);
  for (const { parameter, tensors } of found.optimizer?.moments ?? [])
    for (const [i, slot] of MOMENT_SLOTS.entries()) {
      const [old, tensor] = [state.get(slotName(slot, parameter)), tensors[i]];
      if (old && tensor) state.set(slotName(slot, parameter), { ...old, data: tensor.data });
    }
  await makeRun(out, 'artifacts import', facts, state, {
    step,
    samples: null,
    networkHash: networkHash(parameters),
    dataHash: manifest.dataHash,
  });
  return { run: out, task: manifest.task, step };
}

/** The summary for people. */
export const formatImport = ({ run, task, step }: ImportSummary): string =>
  [
    `made ${run} from weights ${step === 0 ? 'with no recorded updates' : `after ${step} updates`}`,
    task === 'model'
      ? `next: p2w inspect ${shellWord(run)}`
      : task === 'pretrain'
        ? `next: p2w export --run ${shellWord(run)} --out encoder, p2w finetune --init ${shellWord(run)}`
        : `next: p2w export --run ${shellWord(run)} --out exported`,
  ].join('\n');
