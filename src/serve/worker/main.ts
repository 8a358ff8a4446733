/** A process that runs models for the service. What it cannot survive ends it, and nobody else: the service starts another. */
import { readdirSync, rmSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { scanError } from '../../commands/scan-error.js';
import { fromSystemError, UserError } from '../../errors.js';
import { openEngine } from '../../execution/open-engine.js';
import { readModelScan } from '../../inference/model-scan.js';
import { endWithParent } from '../../parent.js';
import type { Engine } from '../../runtime/engine.js';
import { indexState } from '../../search/manifest.js';
import { openIndex, type SearchIndex } from '../../search/open-index.js';
import {
  type Answer,
  type FromWorker,
  type Job,
  jobsAtOnce,
  type Outcome,
  type ToWorker,
  type WorkerSettings,
} from '../jobs.js';
import { infer } from './infer.js';
import { openServedModel, type WorkingModel } from './models.js';
import { workOnScan } from './scan-work.js';
import { checkScanFits, openUpload } from './upload.js';

/** Of the processor, as a nice value: below that of the service itself. */
const YIELDING = 5;

/** Ends work that nobody waits for any more. */
class Cancelled extends Error {}

/** Ends work that cannot be done here, or not any more. */
class Unavailable extends Error {}

const send = (message: FromWorker) => process.send!(message);

/** Jobs under way, and whether they are still wanted. */
const running = new Map<number, { cancelled: boolean }>();
let models: ReadonlyMap<string, WorkingModel> = new Map();
let settings: WorkerSettings;
let openedIndex: SearchIndex | undefined;
let batches: number[] = [];
/** Most memory that one job may take: each has the same share, and as much is left for the rest. */
let maxJobBytes = 0;

/** The index of the service, which the first search opens. */
function index(): SearchIndex {
  const { folder, state } = settings.index!;
  if (indexState(folder) !== state)
    throw new Unavailable('the index has been written again: the service must be started again to search it');
  openedIndex ??= openIndex(folder);
  return openedIndex;
}

/** Removes what a worker left behind that died of the same job. */
function removeOthers(folder: string, upload: string): void {
  for (const path of readdirSync(folder).map((name) => join(folder, name)))
    if (path !== upload) rmSync(path, { recursive: true, force: true });
}

async function perform(
  { model: name, sha256, folder, upload, work }: Job,
  goOn: () => void,
): Promise<Answer> {
  const model = models.get(name)!;
  if (sha256 !== null && sha256 !== model.facts.sha256)
    throw new Unavailable('the model has just been replaced');
  if (work.operation === 'infer')
    return infer(model, {
      ...{ upload, headerBytes: work.headerBytes, maxBytes: maxJobBytes, onWindows: goOn },
    });
  removeOthers(folder, upload);
  const scanFile = await openUpload(upload, folder, work.series, settings.maxUnpackedBytes, goOn);
  try {
    await checkScanFits(scanFile, maxJobBytes, settings.maxUnpackedBytes);
    goOn();
    const notes: string[] = [];
    const note = (line: string) => notes.push(line.replace(`${scanFile}: `, ''));
    const scan = await readModelScan(scanFile, model.image, note);
    goOn();
    return await workOnScan({
      ...{ model, scan, index, notes, work, output: work.output, folder, onWindows: goOn },
    });
  } catch (error) {
    throw error instanceof Cancelled || error instanceof Unavailable ? error : scanError(error, scanFile);
  }
}

/** Text for a client, who knows nothing of folders here. */
const withoutFolder = (facts: UserError['facts'], folder: string) => {
  const { cause: _, choices, ...texts } = facts;
  const told = Object.entries(texts).map(([key, text]) => [
    key,
    text.replaceAll(
      new RegExp(`${folder.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')}[\\w./-]*`, 'g'),
      'the upload',
    ),
  ]);
  return { ...(Object.fromEntries(told) as typeof texts), ...(choices && { choices }) };
};

async function outcomeOf(job: Job, goOn: () => void): Promise<Outcome> {
  try {
    const answer = await perform(job, goOn);
    return { answer, model: models.get(job.model)!.facts.sha256 };
  } catch (thrown) {
    if (thrown instanceof Cancelled) return { cancelled: true };
    if (thrown instanceof Unavailable) return { unavailable: thrown.message };
    const error = fromSystemError(thrown, job.folder);
    if (error instanceof UserError)
      return { kind: error.kind, facts: withoutFolder(error.facts, job.folder) };
    return { defect: error.stack ?? error.message };
  }
}

async function work(id: number, job: Job): Promise<void> {
  const state = { cancelled: false };
  running.set(id, state);
  const outcome = await outcomeOf(job, () => {
    if (state.cancelled) throw new Cancelled();
  });
  running.delete(id);
  send({ type: 'done', id, outcome, batches, rssBytes: process.memoryUsage.rss() });
  batches = [];
}

async function start(given: WorkerSettings): Promise<void> {
  settings = given;
  const engine: Engine = await openEngine(settings.device);
  const opened: WorkingModel[] = [];
  const { threads, batch } = settings;
  const onBatch = (windows: number) => void batches.push(windows);
  for (const file of settings.models)
    opened.push(await openServedModel(file, { engine, threads, batch, onBatch }));
  models = new Map(opened.map((model) => [model.facts.name, model]));
  const most = Math.max(...opened.map((model) => model.batch));
  maxJobBytes = settings.memoryBytes / (jobsAtOnce(most) * settings.workers + 1);
  send({
    type: 'ready',
    models: opened.map(({ facts }) => facts),
    batch: most,
    runtime: `${engine.name}, ${engine.provider}`,
  });
}

endWithParent();
setPriority(YIELDING); // the service itself answers at once, however busy its workers are
// Ctrl-C and systemd tell all processes at once; the service decides when its workers are no longer needed.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {});
process.channel!.ref(); // lives for the requests that come through it
process.on('message', async (message: ToWorker) => {
  if (message.type === 'job') return work(message.id, message.job);
  if (message.type === 'cancel') {
    const state = running.get(message.id);
    if (state) state.cancelled = true;
    return;
  }
  try {
    await start(message.settings);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { cause: _, ...facts } = error.facts;
    send({ type: 'refused', kind: error.kind, facts });
  }
});
