/**
 * The service worker: keeps every file of the page, so that it works without a network, and adds the two headers with
 * which a page may share memory between threads, so that any server of plain files will do.
 */
const worker = self as unknown as ServiceWorkerGlobalScope;

/** Of the build script: the example, its files, and what changes with any of them. */
declare const EXAMPLE: string;
declare const FILES: readonly string[];
declare const VERSION: string;

/** How caches of this example begin; others of its origin are left alone. */
const OWN = `parts2whole-${EXAMPLE}-`;

/** Keeps all files, and then nothing older. */
async function keep(): Promise<void> {
  const cache = await caches.open(OWN + VERSION);
  if ((await cache.keys()).length === FILES.length) return;
  await cache.addAll(FILES.map((file) => new Request(file, { cache: 'no-cache' })));
  const older = (await caches.keys()).filter((name) => name.startsWith(OWN) && name !== OWN + VERSION);
  await Promise.all(older.map((name) => caches.delete(name)));
}

let keeping: Promise<void> | undefined;

worker.addEventListener('install', () => void worker.skipWaiting());
worker.addEventListener('activate', (event) => event.waitUntil(worker.clients.claim()));
// Pages ask for it when they have the headers: these do not wait for all files.
worker.addEventListener('message', (event) => {
  keeping ??= keep().finally(() => {
    keeping = undefined;
  });
  event.waitUntil(keeping);
});

function isolated(response: Response): Response {
  // A redirection, which the browser follows itself, or an answer of another origin: neither can be made anew.
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

/** From the network, where files may be newer; what was kept without it. */
async function answer(request: Request): Promise<Response> {
  const found = await fetch(request).catch(() => caches.match(request, { ignoreSearch: true }));
  return found ? isolated(found) : Response.error();
}

worker.addEventListener('fetch', (event) => event.respondWith(answer(event.request)));
