/** The page at `/`: built into `dist/page`, and ONNX Runtime for browsers as it is installed. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Routes } from '../context.js';
import { openFileBody } from '../file-body.js';

/** The root of the package, also when it runs from its sources: there, too, the page is a built one. */
const root = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../../dist/' : '../../../', import.meta.url),
);

const RUNTIME = [
  'ort.wasm.bundle.min.mjs',
  'ort-wasm-simd-threaded.wasm',
  'ort.webgpu.bundle.min.mjs',
  'ort-wasm-simd-threaded.asyncify.wasm',
];

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
};

/** Nothing from elsewhere, nothing in a frame; with the last two, threads may share memory. */
const HEADERS = {
  'Content-Security-Policy': [
    ...["default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "worker-src 'self'"],
    ...["style-src 'self'", "img-src 'self' blob: data:", "connect-src 'self'"],
    ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
  ].join('; '),
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** Files of a folder; none where it is missing. */
function filesOf(folder: string, names?: readonly string[]): string[] {
  try {
    return (names ?? readdirSync(folder))
      .map((name) => join(folder, name))
      .filter((path) => statSync(path).isFile());
  } catch {
    return [];
  }
}

/** Folder of onnxruntime-web, which is optional. */
function runtimeFolder(): string | null {
  try {
    return dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
  } catch {
    return null;
  }
}

const MISSING = '<!doctype html><title>parts2whole</title><p>The page is not built: npm run build';

export const pageRoutes: Routes = (app) => {
  const runtime = runtimeFolder();
  const paths = [...filesOf(join(root, 'page')), ...(runtime ? filesOf(runtime, RUNTIME) : [])];
  // Only what was there at the start is given away, whatever a path says.
  const files = new Map(paths.map((path) => [path.slice(dirname(path).length + 1), path]));
  app.get('/', (c) => {
    const index = files.get('index.html');
    return c.html(index ? readFileSync(index, 'utf8') : MISSING, index ? 200 : 404, HEADERS);
  });
  app.get('/assets/:name', async (c) => {
    const path = files.get(c.req.param('name'));
    if (!path) return c.notFound();
    const { size, mtimeMs } = statSync(path);
    const tag = `"${size.toString(36)}-${Math.round(mtimeMs).toString(36)}"`;
    const headers = { ...HEADERS, ETag: tag, 'Cache-Control': 'no-cache' };
    if (c.req.header('if-none-match') === tag) return c.body(null, 304, headers);
    const { body, bytes } = await openFileBody(path);
    const type = TYPES[extname(path)] ?? 'application/octet-stream';
    return c.body(body, 200, { ...headers, 'Content-Type': type, 'Content-Length': String(bytes) });
  });
};
