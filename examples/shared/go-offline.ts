import { say } from './elements.js';

/** Whether the user has begun: then nothing may be lost any more. */
let begun = false;
for (const name of ['input', 'change', 'submit'])
  document.addEventListener(
    name,
    () => {
      begun = true;
    },
    { capture: true },
  );

/** Has the service worker keep all files. */
const keep = () => navigator.serviceWorker.controller?.postMessage('keep');

async function register(): Promise<void> {
  navigator.serviceWorker.addEventListener('controllerchange', keep);
  await navigator.serviceWorker.register('offline.js');
  await navigator.serviceWorker.ready;
  // The first time, the page came without the headers that the service worker adds.
  if (crossOriginIsolated || begun || sessionStorage.getItem('reloaded')) return keep();
  sessionStorage.setItem('reloaded', 'yes');
  location.reload();
}

/** Keeps the page for when there is no network. Without the service worker it works too, on one thread and with a network. */
export function goOffline(): void {
  if ('serviceWorker' in navigator) register().catch(() => say('ready, but this page will not work offline'));
}
