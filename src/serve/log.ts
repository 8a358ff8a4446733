/** A line of the log: what happened, and plain facts. Nothing of a scan or of its file's name is among them. */
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;
export type Log = (event: string, fields?: LogFields) => void;

/** Lines as JSON. @param write takes a line without its end */
export const jsonLog =
  (write: (line: string) => void): Log =>
  (event, fields = {}) =>
    write(JSON.stringify({ time: new Date().toISOString(), event, ...fields }));
