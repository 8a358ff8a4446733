/** A process that runs models for the service. What it cannot survive ends it, and nobody else: the service starts another. */
import { mkdtempSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { scanError } from '../../commands/scan-error.js';
import { UserError } from '../../errors.js';
import { openEngine } from '../../execution/open-engine.js';
import { readModelScan } from '../../inference/model-scan.js';
import { endWithParent } from '../../parent.js';
import type { Engine } from '../../runtime/engine.js';
import { openIndex, type SearchIndex } from '../../search/open-index.js';
import type { Answer, FromWorker, Job, Outcome, ToWorker, WorkerSettings } from '../jobs.js';
import { infer } from './infer.js';
import { openServedModel, type WorkingModel } from './models.js';
import { workOnScan } from './scan-work.js';
import { checkScanFits, openUpload } from './upload.js';

/** Of the processor, as a nice value: below that of the service itself. */
const YIELDING = 5;

/** Ends work that nobody waits for any more. */
class Cancelled extends Error {}

const send = (message: FromWorker) => process.send!(message);

/** Jobs under way, and whether they are still wanted. */
const running = new Map<number, { cancelled: boolean }>();
let models: ReadonlyMap<string, WorkingModel> = new Map();
let settings: WorkerSettings;
let index: SearchIndex | null = null;
let batches: number[] = [];

async function perform({ model: name, folder, upload, work }: Job, goOn: () => void): Promise<Answer> {
  const model = models.get(name)!;
  const path = join(folder, upload);
  if (work.operation === 'infer')
    return infer(model, { upload: path, headerBytes: work.headerBytes, onWindows: goOn });
  // Another worker may have died of this job, and left files behind.
  const own = mkdtempSync(join(folder, 'work-'));
  const scanFile = await openUpload(path, own, work.series, settings.maxUnpackedBytes, goOn);
  try {
    await checkScanFits(scanFile, settings.maxScanBytes);
    goOn();
    const notes: string[] = [];
    const note = (line: string) => notes.push(line.replace(`${scanFile}: `, ''));
    const scan = await readModelScan(scanFile, model.image, note);
    goOn();
    return await workOnScan({
      ...{ model, scan, index, notes, work, output: work.output, folder: own, onWindows: goOn },
    });
  } catch (error) {
    throw error instanceof Cancelled ? error : scanError(error, scanFile);
  }
}

/** Text for a client, who knows nothing of folders here. */
const withoutFolder = (facts: UserError['facts'], folder: string) => {
  const { cause: _, ...texts } = facts;
  return Object.fromEntries(
    Object.entries(texts).map(([key, text]) => [
      key,
      text.replaceAll(
        new RegExp(`${folder.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')}[\\w./-]*`, 'g'),
        'the upload',
      ),
    ]),
  ) as typeof texts;
};

async function outcomeOf(job: Job, goOn: () => void): Promise<Outcome> {
  try {
    const answer = await perform(job, goOn);
    return { answer, model: models.get(job.model)!.facts.sha256 };
  } catch (error) {
    if (error instanceof Cancelled) return { cancelled: true };
    if (error instanceof UserError)
      return { kind: error.kind, facts: withoutFolder(error.facts, job.folder) };
    return { defect: error instanceof Error ? (error.stack ?? error.message) : String(error) };
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
  if (settings.index !== null) index = openIndex(settings.index);
  models = new Map(opened.map((model) => [model.facts.name, model]));
  send({
    type: 'ready',
    models: opened.map(({ facts }) => facts),
    batch: Math.max(...opened.map((model) => model.batch)),
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
