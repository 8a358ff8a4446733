/**
 * Bundles the command line, with the packages that it uses, into few files: most of the time that a command takes to start is the
 * loading of small ones. `npm run build` does it. What it starts, such as workers, lies unbundled in `dist`.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { licencesOf } from '../page/licences.js';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Native code, and WebAssembly. */
const external = ['onnxruntime-node', 'koffi', '@cornerstonejs/*'];

/**
 * Modules find workers and files from where they are: here from where they are in `dist`, one folder above every bundle. Each keeps its
 * name above what is left of it.
 */
const ownModules: Plugin = {
  name: 'own-modules',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const name = relative(root, path);
      const url = `new URL(${JSON.stringify(`../${name.replace(/\.ts$/, '.js')}`)}, import.meta.url).href`;
      const code = (await readFile(path, 'utf8')).replaceAll('import.meta.url', url);
      return { contents: code.replace(/^(#!.*\n)?/, `$1//! ${name}\n`), loader: 'ts' };
    });
  },
};

const { metafile } = await build({
  metafile: true,
  // `main` is for programs that do what several command lines say.
  entryPoints: ['p2w', 'main'].map((name) => `${root}bin/${name}.ts`),
  outdir: `${root}dist/bin`,
  chunkNames: '[hash]',
  bundle: true,
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'inline',
  splitting: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  external,
  // Packages in CommonJS load Node.js' own modules by `require`.
  banner: {
    js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
  },
  plugins: [ownModules],
  logLevel: 'warning',
});
await writeFile(`${root}dist/bin/licences.txt`, await licencesOf(metafile));
