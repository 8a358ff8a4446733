/** Runs a page of this package in an installed Chromium, on a server of its own. */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { delimiter, dirname, extname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../../errors.js';
import { withTemporaryFolder } from '../../temporary-folder.js';
import { signalGroup, startGuarded } from '../guard.js';

const require = createRequire(import.meta.url);

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome', 'msedge'];

/** An installed Chromium; null where none is found. */
export function findBrowser(): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const paths = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  return paths.find((path) => existsSync(path)) ?? null;
}

/** @throws UserError for a browser that is not there */
export function checkBrowser(path: string | undefined): void {
  if (path === undefined || existsSync(path)) return;
  throw new UserError('usage', { what: 'there is no such browser', where: '--browser', got: path });
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
};

/** With these a page may have threads that share memory. */
const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cache-Control': 'no-store',
};

/** What a server gives away: folders by the first part of a path, and contents by their whole path. */
export interface Site {
  readonly folders: Readonly<Record<string, string>>;
  readonly contents: Readonly<Record<string, string | Uint8Array>>;
}

/** The file that a path means, inside one of the folders; undefined when it is none. */
function fileOf(path: string, folders: Site['folders']): string | undefined {
  const [, name = '', ...rest] = path.split('/');
  const folder = folders[name];
  if (folder === undefined) return undefined;
  const file = resolve(folder, rest.join('/'));
  const inside = file.startsWith(resolve(folder) + sep);
  return inside && statSync(file, { throwIfNoEntry: false })?.isFile() ? file : undefined;
}

/** Serves a site on this machine only; what is posted to /result goes to `received`. */
function serve({ folders, contents }: Site, received: (text: string) => void): Promise<Server> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    const head = (type: string) => ({
      ...ISOLATED,
      'Content-Type': TYPES[type] ?? 'application/octet-stream',
    });
    if (request.method === 'POST' && path === '/result') {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        response.writeHead(204).end();
        received(Buffer.concat(chunks).toString());
      });
      return;
    }
    const content = contents[path];
    if (content !== undefined) {
      response.writeHead(200, head(extname(path))).end(content);
      return;
    }
    const file = fileOf(path, folders);
    if (!file) {
      response.writeHead(404, ISOLATED).end();
      return;
    }
    response.writeHead(200, head(extname(file)));
    createReadStream(file)
      .on('error', () => response.destroy())
      .pipe(response);
  });
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

/** Folder of an installed package's builds; undefined where it is not installed. */
export function packageFolder(name: string): string | undefined {
  try {
    return dirname(require.resolve(name));
  } catch {
    return undefined;
  }
}

/** The built files of this package, also when it runs from its sources. */
export const builtFolder = (): string => {
  const here = dirname(fileURLToPath(import.meta.url));
  const root = resolve(here, '..', '..', '..');
  return import.meta.url.endsWith('.ts') ? join(root, 'dist') : root;
};

const FLAGS = [
  '--headless=new',
  '--no-first-run',
  '--disable-extensions',
  '--enable-unsafe-webgpu',
  '--enable-features=Vulkan,WebGPU',
  // Where there is no GPU, one made of software.
  '--use-vulkan=swiftshader',
  '--use-webgpu-adapter=swiftshader',
  '--disable-vulkan-surface',
];

const PAGE = '<!doctype html><meta charset="utf-8"><title>p2w bench engines</title>';

/**
 * Opens a page that runs a module of the built package, and waits for what it posts.
 * @throws UserError when the browser ends, or says nothing within the time
 */
export const runPage = (browser: string, module: string, site: Site, seconds: number): Promise<string> =>
  withTemporaryFolder('p2w-browser-', (profile) => runPageIn(profile, browser, module, site, seconds));

async function runPageIn(
  profile: string,
  browser: string,
  module: string,
  site: Site,
  seconds: number,
): Promise<string> {
  const html = `${PAGE}<script type="module" src="${module}"></script>`;
  let finish: (text: string) => void = () => {};
  let fail: (error: Error) => void = () => {};
  const result = new Promise<string>((done, failed) => {
    finish = done;
    fail = failed;
  });
  const server = await serve({ ...site, contents: { ...site.contents, '/index.html': html } }, finish);
  const { port } = server.address() as AddressInfo;
  // Chromium's own sandbox cannot be had by root.
  const flags = [
    ...FLAGS,
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    `--user-data-dir=${profile}`,
  ];
  // What it leaves elsewhere when it is killed goes with its profile.
  const child = startGuarded([browser, ...flags, `http://127.0.0.1:${port}/index.html`], 'ignore', {
    ...process.env,
    TMPDIR: profile,
  });
  const trouble = (what: string) => fail(new UserError('runtime', { what, where: browser }));
  child.on('error', (error) => trouble(error.message));
  child.on('exit', () => trouble('the browser has ended'));
  const patience = setTimeout(() => trouble(`the page has said nothing for ${seconds} s`), seconds * 1000);
  try {
    return await result;
  } finally {
    clearTimeout(patience);
    signalGroup(child, 'SIGKILL');
    server.closeAllConnections();
    server.close();
  }
}
