/** The page of the service: opens scans, and hands them to its panels. */
import type { Volume, XYZ } from '../src/data/scan/volume.js';
import { element, make, messageOf, say } from './dom.js';
import { featuresPanel } from './features.js';
import { droppedFiles, niftiOfFiles } from './files.js';
import { neighboursPanel } from './neighbours.js';
import type { OpenScan, PageContext, Panel, ScanSource } from './panel.js';
import { partPanel } from './part.js';
import { phantomFile } from './phantom.js';
import { startScanWorker } from './scan-worker.js';
import { segmentationPanel } from './segmentation.js';
import type { ServedModel } from './served-model.js';
import { forgetToken, indexFacts, keepToken, listModels, ServiceProblem } from './service.js';
import { type Greys, openViewer, type View, type ViewerImage } from './viewer.js';

const status = element('#status');

/** Asks for a token as often as the service wants another. */
async function modelsWithToken(): Promise<readonly ServedModel[]> {
  const dialog = element<HTMLDialogElement>('#token-dialog');
  const input = element<HTMLInputElement>('#token');
  for (let tries = 0; ; tries++) {
    try {
      return await listModels();
    } catch (error) {
      if (!(error instanceof ServiceProblem && error.status === 401)) throw error;
    }
    forgetToken();
    element('#refused').hidden = tries === 0;
    input.value = '';
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
    keepToken(input.value.trim());
  }
}

/** Grey levels of CT, in HU, as they are set for reading; null is what the scan suggests. */
const GREYS: readonly (readonly [name: string, Greys | null])[] = [
  ['All grey levels', null],
  ['Lung', { low: -1350, high: 150 }],
  ['Soft tissue', { low: -160, high: 240 }],
  ['Bone', { low: -500, high: 1300 }],
];

/** What there is, until there is a scan. */
function showModels(models: readonly ServedModel[]): void {
  const rows = models.map(({ name, kind, window }) =>
    make(
      'tr',
      {},
      make('th', { scope: 'row' }, name),
      make('td', {}, kind),
      make('td', { class: 'note' }, `${window.join(' × ')} voxels`),
    ),
  );
  element('#served tbody').replaceChildren(...rows);
  element('#served').hidden = false;
}

/** Reads files of a scan, in a worker of its own that ends with the signal. */
async function readFiles(
  files: readonly File[],
  models: readonly ServedModel[],
  signal: AbortSignal,
): Promise<{ scan: OpenScan; volume: Volume }> {
  signal.throwIfAborted();
  const worker = startScanWorker();
  signal.addEventListener('abort', worker.end);
  const file = await niftiOfFiles(files, models, worker, signal);
  const volume = await worker.call('read', { file });
  const { voxels: _, ...grid } = volume;
  return { scan: { file, grid, worker, signal }, volume };
}

/** @returns what opens a scan */
async function start(): Promise<(source: ScanSource) => Promise<void>> {
  const overlay = element<SVGSVGElement>('#overlay');
  let redraw = () => {};
  const viewer = await openViewer(
    element<HTMLCanvasElement>('#canvas'),
    () => redraw(),
    (text) => say(element('#place'), text),
  );
  const models = await modelsWithToken();
  const context: PageContext = { models, viewer };
  showModels(models);
  const part = partPanel(context);
  redraw = () => part?.redraw();
  const index = await indexFacts();
  /** Ends all work on the scan that is open, and on the one that is to be. */
  let [current, next] = [new AbortController(), new AbortController()];

  const show = (scan: OpenScan, image: ViewerImage, place: XYZ | null): void => {
    overlay.replaceChildren();
    element('#viewer').classList.add('open');
    element('#tools').hidden = false;
    element('#served').hidden = true;
    viewer.show(image);
    if (place) viewer.goTo(place);
    const spacing = scan.grid.spacing.map((mm) => mm.toFixed(1)).join(' × ');
    say(status, `${scan.file.name} · ${scan.grid.size.join(' × ')} · ${spacing} mm`);
  };
  /** The scan before stays open until this one has been read. */
  const openScan = async ({ name, files, place = null }: ScanSource): Promise<void> => {
    next.abort();
    const own = new AbortController();
    next = own;
    const { signal } = own;
    say(status, `Reading ${name} …`);
    try {
      const { scan, volume } = await readFiles(await files(signal), models, signal);
      const image = await viewer.read(scan.file.name, volume);
      signal.throwIfAborted();
      current.abort();
      [current, next] = [own, new AbortController()];
      show(scan, image, place);
      for (const panel of panels) panel.take(scan);
      for (const panel of panels) if (!signal.aborted) await panel.work?.();
    } catch (error) {
      if (signal.aborted) return;
      if (own === next) own.abort();
      say(status, `${name}: ${messageOf(error)}`, true);
    }
  };
  const panels: readonly Panel[] = [
    part,
    featuresPanel(context),
    segmentationPanel(context),
    index &&
      neighboursPanel(context, {
        index,
        box: () => part?.box() ?? null,
        openScan,
      }),
  ].filter((panel) => panel !== null);
  takeControls();
  return openScan;

  function takeControls(): void {
    const views = [...element('#views').querySelectorAll('button')];
    const setView = (chosen: HTMLButtonElement): void => {
      for (const view of views) view.setAttribute('aria-pressed', String(view === chosen));
      viewer.setView(chosen.dataset.view as View);
    };
    for (const view of views) view.addEventListener('click', () => setView(view));
    const greys = element<HTMLSelectElement>('#greys');
    greys.append(...GREYS.map(([name]) => make('option', {}, name)));
    const setGreys = () => viewer.setGreys(GREYS[greys.selectedIndex]![1]);
    greys.addEventListener('change', setGreys);
    const nextGreys = () => {
      greys.selectedIndex = (greys.selectedIndex + 1) % GREYS.length;
      setGreys();
    };
    const keys: Readonly<Record<string, () => void>> = {
      o: () => element<HTMLInputElement>('#file').click(),
      w: nextGreys,
      b: () => part?.box() && part.centre(viewer.crosshair()),
      ...Object.fromEntries(views.map((view, i) => [String(i + 1), () => setView(view)])),
    };
    const steps: Readonly<Record<string, XYZ>> = {
      ...{ ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0] },
      ...{ PageUp: [0, 0, 1], PageDown: [0, 0, -1] },
    };
    document.addEventListener('keydown', (event) => {
      const isTyping = event.target instanceof HTMLElement && event.target.closest('select, dialog') !== null;
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
      const step = event.target === viewer.canvas ? steps[event.key] : undefined;
      const act = step ? () => viewer.step(step) : keys[event.key.toLowerCase()];
      if (!act) return;
      event.preventDefault();
      act();
    });
  }
}

/** Scans that are dropped, chosen, or made. */
function takeScans(openScan: (files: readonly File[]) => void): void {
  const input = element<HTMLInputElement>('#file');
  input.addEventListener('change', () => {
    const files = [...(input.files ?? [])];
    if (files.length > 0) openScan(files);
    input.value = '';
  });
  for (const name of ['dragover', 'dragleave', 'drop'])
    document.addEventListener(name, (event) => {
      event.preventDefault();
      element('#viewer').classList.toggle('over', name === 'dragover');
    });
  document.addEventListener('drop', async ({ dataTransfer }) => {
    const files = dataTransfer ? await droppedFiles(dataTransfer) : [];
    if (files.length > 0) openScan(files);
  });
  element('#phantom').addEventListener('click', async (event) => {
    event.preventDefault();
    say(status, 'Making a synthetic chest CT …');
    await new Promise(requestAnimationFrame);
    await new Promise((resolve) => setTimeout(resolve));
    openScan([phantomFile()]);
  });
}

const started = start();
takeScans((files) => {
  const source = { name: files[0]!.name, files: async () => files };
  void started.then((openScan) => openScan(source)).catch(() => {});
});
started.catch((error) => say(status, messageOf(error), true));
