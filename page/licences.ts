import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Metafile } from 'esbuild';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** The licence of a package: its file, or for NiiVue, which has none in its package, that of its repository. */
async function licenceOf(name: string): Promise<string> {
  const folder = here(`../node_modules/${name}/`);
  const { version, license } = JSON.parse(await readFile(`${folder}package.json`, 'utf8'));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const path = file ? folder + file : name.startsWith('@niivue/') ? here('niivue-licence.txt') : null;
  return `${name} ${version}: ${license}\n\n${path ? await readFile(path, 'utf8') : ''}`;
}

/** The licences of all packages that are in bundles: they go with them. */
export async function licencesOf({ inputs }: Metafile): Promise<string> {
  const names = Object.keys(inputs).flatMap(
    (path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? [],
  );
  const licences = await Promise.all([...new Set(names)].sort().map(licenceOf));
  return licences.join(`\n${'-'.repeat(80)}\n\n`);
}
