/** Builds the page of `p2w serve` into `dist/page`, a folder of plain files: `npm run build` does it. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { STYLE } from '../src/report/style.js';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** The page looks as reports do: their style sheet, and then its own. */
const reportStyle: Plugin = {
  name: 'report-style',
  setup: ({ onLoad }) =>
    onLoad({ filter: /style\.css$/ }, async ({ path }) => ({
      contents: STYLE + (await readFile(path, 'utf8')),
      loader: 'css',
    })),
};

await build({
  entryPoints: ['index.html', 'style.css', 'main.ts', 'scan.worker.ts'].map(here),
  outdir: here('../dist/page'),
  entryNames: '[name]',
  bundle: true,
  minify: true,
  format: 'esm',
  loader: { '.html': 'copy' },
  plugins: [reportStyle],
  logLevel: 'warning',
});
