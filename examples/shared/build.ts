/** Builds an example's page into a folder of plain files, for any server, and serves it: `npm run example:browser`. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, context } from 'esbuild';
import { reportStyle } from '../../page/report-style.js';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const runtime = (name: string) => fileURLToPath(import.meta.resolve(`onnxruntime-web/${name}`));

/** Folders beside this one. */
export type Example = 'browser' | 'classifier';

const filesOf = (example: Example): string[] => [
  ...['index.html', 'page.css', 'page.ts', 'training.worker.ts'].map((name) => here(`../${example}/${name}`)),
  here('style.css'),
  ...['wasm', 'webgpu'].map(runtime),
  ...['ort-wasm-simd-threaded.wasm', 'ort-wasm-simd-threaded.asyncify.wasm'].map(runtime),
];

/** @param out folder to write into */
const buildOptions = (entryPoints: string[], out: string) =>
  ({
    entryPoints,
    outdir: out,
    entryNames: '[name]',
    bundle: true,
    minify: true,
    format: 'esm',
    loader: { '.html': 'copy', '.mjs': 'copy', '.wasm': 'copy' },
    plugins: [reportStyle],
    logLevel: 'warning',
  }) satisfies BuildOptions;

/** What changes with the content of any file. */
export function versionOf(out: string, names: readonly string[]): string {
  const hash = createHash('sha256');
  for (const name of names) hash.update(name).update(readFileSync(join(out, name)));
  return hash.digest('hex').slice(0, 12);
}

/** Builds the page. @param out folder to write into */
export async function buildPage(example: Example, out: string): Promise<void> {
  const { outputs } = (await build({ ...buildOptions(filesOf(example), out), metafile: true })).metafile;
  const names = Object.keys(outputs).map((path) => relative(out, path));
  const facts = {
    EXAMPLE: example,
    FILES: ['./', ...names.filter((name) => name !== 'index.html')],
    VERSION: versionOf(out, names),
  };
  const define = Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [name, JSON.stringify(value)]),
  );
  await build({ ...buildOptions([here('offline.ts')], out), define });
}

/** Builds the page, and serves it on this machine. */
export async function servePage(
  example: Example,
  out: string,
): Promise<{ url: string; close: () => Promise<void> }> {
  await buildPage(example, out);
  const site = await context({ logLevel: 'silent' });
  const { port } = await site.serve({ servedir: out, host: '127.0.0.1' });
  return { url: `http://127.0.0.1:${port}`, close: () => site.dispose() };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const example = process.argv[2] as Example;
  const out = process.argv[3] ?? `artifacts/${example}`;
  const { url } = await servePage(example, out);
  console.log(`written to ${out}; open ${url}`);
}
