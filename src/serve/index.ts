/** The service as a library: `parts2whole/serve`, apart from the rest, as it loads a web framework. */
export type { Log, LogFields } from './log.js';
export { type ServeOptions, type Service, serve } from './serve.js';
