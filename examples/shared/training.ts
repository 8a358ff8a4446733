/** A training as the page sees it: starts and stops the worker, shows what it says. */
import { drawCurve, type Point } from './curve.js';
import { element, say } from './elements.js';
import type { Files, FromWorker, ToWorker } from './messages.js';

/** Between two drawings: steps of small networks come faster than a page can draw. */
const PAUSE_MS = 250;

const NOT_LOADED = 'the worker could not be loaded: is the server still there?';

function offer(files: Files): void {
  for (const [name, bytes] of Object.entries(files)) {
    const link = element<HTMLAnchorElement>(`a[download="${name}"]`);
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>]));
  }
}

/**
 * Trains until the user stops it, or it fails.
 * @param show draws what the worker found in a validation
 */
export function train<Start, Shown>(chosen: Start, show: (shown: Shown) => void): void {
  const start = element<HTMLButtonElement>('#start');
  const stop = element<HTMLButtonElement>('#stop');
  const [downloads, progress, validated] = ['#downloads', '#progress', '#validation'].map((s) => element(s));
  const worker = new Worker('training.worker.js', { type: 'module' });
  const send = (message: ToWorker<Start>) => worker.postMessage(message);
  const training: Point[] = [];
  const validation: Point[] = [];
  let [unseen, drawn, waiting]: [Shown | null, number, number] = [null, 0, 0];
  const draw = () => {
    waiting = 0;
    drawn = performance.now();
    drawCurve(element('#curve'), training, validation);
    progress!.hidden = false;
    if (unseen === null) return;
    show(unseen);
    validated!.hidden = false;
    unseen = null;
  };
  const drawSoon = () => {
    waiting ||= window.setTimeout(draw, Math.max(0, drawn + PAUSE_MS - performance.now()));
  };
  const running = (is: boolean) => {
    start.disabled = is;
    stop.disabled = !is;
  };
  const end = () => {
    clearTimeout(waiting);
    if (waiting) draw();
    worker.terminate();
    running(false);
  };
  type Message = FromWorker<Shown>;
  const answers: { [K in Message['kind']]: (message: Extract<Message, { kind: K }>) => void } = {
    says: ({ text }) => say(text),
    step({ step, loss, seconds }) {
      training.push({ step, loss });
      // Of the training before, which could be had until now.
      downloads!.hidden = true;
      say(`step ${step}: loss ${loss.toFixed(4)}, ${seconds.toFixed(2)} s per step`);
      drawSoon();
    },
    validation({ step, loss, shown }) {
      validation.push({ step, loss });
      unseen = shown;
      drawSoon();
    },
    done({ files }) {
      offer(files);
      downloads!.hidden = false;
      say(`stopped after ${training.length} steps`);
      end();
    },
    failed({ message }) {
      say(message, true);
      end();
    },
  };
  worker.onmessage = ({ data }: MessageEvent<Message>) =>
    (answers[data.kind] as (message: Message) => void)(data);
  // Only what runs has a message.
  worker.onerror = ({ message = NOT_LOADED }: Partial<ErrorEvent>) =>
    answers.failed({ kind: 'failed', message });
  stop.onclick = () => {
    stop.disabled = true;
    say('stopping after this step');
    send({ kind: 'stop' });
  };
  for (const shown of [progress, validated]) shown!.hidden = true;
  running(true);
  say('starting');
  send({ kind: 'start', start: chosen });
}
