/** Builds the page of `p2w serve` into `dist/page`, a folder of plain files: `npm run build` does it. */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { licencesOf } from './licences.js';
import { reportStyle } from './report-style.js';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

const { metafile } = await build({
  metafile: true,
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

await writeFile(here('../dist/page/licences.txt'), await licencesOf(metafile));
