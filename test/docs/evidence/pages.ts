/** The pages of the study, with tables and figures made of the raw results. Run by hand to write them: npx tsx test/docs/evidence/pages.ts */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { detailFigure, mainFigure } from './figures.js';
import { DOCS } from './results.js';
import { detailTables, mainTables } from './tables.js';

export interface Page {
  readonly file: URL;
  /** By the names of their places. */
  readonly tables: Readonly<Record<string, () => string>>;
  readonly figure: URL;
  readonly draw: () => string;
}

export const PAGES: readonly Page[] = [
  {
    file: new URL('evidence.md', DOCS),
    tables: mainTables,
    figure: new URL('evidence/curves.svg', DOCS),
    draw: mainFigure,
  },
  {
    file: new URL('evidence/details.md', DOCS),
    tables: detailTables,
    figure: new URL('evidence/more-curves.svg', DOCS),
    draw: detailFigure,
  },
];

const place = (name: string) => new RegExp(`(?<=<!-- ${name} -->\n)[\\s\\S]*?(?=\n<!-- /${name} -->)`);

/** A table as it stands in a page. */
export const written = (text: string, name: string): string | undefined => place(name).exec(text)?.[0].trim();

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  for (const { file, tables, figure, draw } of PAGES) {
    const text = Object.entries(tables).reduce(
      (page, [name, make]) => page.replace(place(name), () => `\n${make()}\n`),
      readFileSync(file, 'utf8'),
    );
    writeFileSync(file, text);
    writeFileSync(figure, draw());
  }
