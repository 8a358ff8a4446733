/** Builds the page of `p2w serve` into `dist/page`, a folder of plain files: `npm run build` does it. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
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

/** The licence of a package: its file, or for NiiVue, which has none in its package, that of its repository. */
async function licenceOf(name: string): Promise<string> {
  const folder = here(`../node_modules/${name}/`);
  const { version, license } = JSON.parse(await readFile(`${folder}package.json`, 'utf8'));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const path = file ? folder + file : name.startsWith('@niivue/') ? here('niivue-licence.txt') : null;
  return `${name} ${version}: ${license}\n\n${path ? await readFile(path, 'utf8') : ''}`;
}

/** What is in the bundles goes with its licence. */
const names = Object.keys(metafile.inputs).flatMap(
  (path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? [],
);
const licences = await Promise.all([...new Set(names)].sort().map(licenceOf));
await writeFile(here('../dist/page/licences.txt'), licences.join(`\n${'-'.repeat(80)}\n\n`));
