import { say } from './elements.js';

async function register(): Promise<void> {
  await navigator.serviceWorker.register('offline.js');
  await navigator.serviceWorker.ready;
  // The first time, the page came without the headers that the service worker adds.
  if (!crossOriginIsolated && !sessionStorage.getItem('reloaded')) {
    sessionStorage.setItem('reloaded', 'yes');
    location.reload();
  }
}

/** Keeps the page for when there is no network. Without the service worker it works too, on one thread and with a network. */
export function goOffline(): void {
  if ('serviceWorker' in navigator) register().catch(() => say('ready, but this page will not work offline'));
}
