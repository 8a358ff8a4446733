import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * What Node.js is given to run a program of this package, from the sources as well as from the built files.
 * @param metaUrl `import.meta.url` of the caller
 * @param name the program relative to the caller, without extension: `./segment.runner`
 */
export function programArguments(metaUrl: string, name: string): string[] {
  const extension = extname(metaUrl);
  const loader = extension === '.ts' ? ['--import', import.meta.resolve('tsx')] : [];
  return [...loader, fileURLToPath(new URL(`${name}${extension}`, metaUrl))];
}
