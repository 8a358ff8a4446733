/** Gives a page of this package the look of its reports. */
import { readFile } from 'node:fs/promises';
import type { Plugin } from 'esbuild';
import { STYLE } from '../src/report/style.js';

/** For esbuild: the style sheet of reports, and then the page's own `style.css`. */
export const reportStyle: Plugin = {
  name: 'report-style',
  setup: ({ onLoad }) =>
    onLoad({ filter: /style\.css$/ }, async ({ path }) => ({
      contents: STYLE + (await readFile(path, 'utf8')),
      loader: 'css',
    })),
};
