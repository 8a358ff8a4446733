import { createRequire } from 'node:module';

/** Of this package: found by its name, from the sources as well as from the built files. */
export const { version } = createRequire(import.meta.url)('parts2whole/package.json') as {
  readonly version: string;
};
