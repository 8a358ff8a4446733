/** Builds an example's page into a folder of plain files, for any server, and serves it: `npm run example:browser`. */
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, context } from 'esbuild';
import { reportStyle } from '../../page/report-style.js';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const runtime = (name: string) => fileURLToPath(import.meta.resolve(`onnxruntime-web/${name}`));

/** Folders beside this one. */
export type Example = 'browser' | 'classifier';

/** @param out folder to write into */
const buildOptions = (example: Example, out: string): BuildOptions => ({
  entryPoints: [
    ...['index.html', 'page.css', 'page.ts', 'training.worker.ts'].map((name) =>
      here(`../${example}/${name}`),
    ),
    ...['style.css', 'offline.ts'].map(here),
    ...['wasm', 'webgpu'].map(runtime),
    ...['ort-wasm-simd-threaded.wasm', 'ort-wasm-simd-threaded.asyncify.wasm'].map(runtime),
  ],
  outdir: out,
  entryNames: '[name]',
  bundle: true,
  minify: true,
  format: 'esm',
  loader: { '.html': 'copy', '.mjs': 'copy', '.wasm': 'copy' },
  plugins: [reportStyle],
  logLevel: 'warning',
});

/** Builds the page, and serves it on this machine. */
export async function servePage(
  example: Example,
  out: string,
): Promise<{ url: string; close: () => Promise<void> }> {
  await build(buildOptions(example, out));
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
