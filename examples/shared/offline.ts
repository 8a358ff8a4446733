/**
 * The service worker: keeps every file of the page, so that it works without a network, and adds the two headers with
 * which a page may share memory between threads, so that any server of plain files will do.
 */
const worker = self as unknown as ServiceWorkerGlobalScope;

const CACHE = 'parts2whole';
const FILES = [
  './',
  'style.css',
  'page.css',
  'page.js',
  'training.worker.js',
  'ort.wasm.bundle.min.mjs',
  'ort-wasm-simd-threaded.wasm',
  'ort.webgpu.bundle.min.mjs',
  'ort-wasm-simd-threaded.asyncify.wasm',
];

worker.addEventListener('install', (event) => {
  worker.skipWaiting();
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
});
worker.addEventListener('activate', (event) => event.waitUntil(worker.clients.claim()));

function isolated(response: Response): Response {
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

/** From the network, where files may be newer; what was kept without it. */
async function answer(request: Request): Promise<Response> {
  const kept = await caches.match(request, { ignoreSearch: true });
  const found = await fetch(request).catch(() => kept);
  return found ? isolated(found) : Response.error();
}

worker.addEventListener('fetch', (event) => event.respondWith(answer(event.request)));
