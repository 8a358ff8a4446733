/** What a client is told when its request is not answered. */
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { type Choice, type ErrorKind, UserError } from '../errors.js';

/** An error with a status: for the client, who may have caused it or not. */
export class Refusal extends Error {
  constructor(
    readonly status: ContentfulStatusCode,
    /** What is wrong, as a sentence without a full stop. */
    readonly what: string,
    readonly facts: {
      readonly got?: string;
      readonly expected?: string;
      readonly fix?: string;
      readonly choices?: readonly Choice[];
      /** When to try again. */
      readonly retryAfterSeconds?: number;
      /** For the log only. */
      readonly cause?: unknown;
    } = {},
  ) {
    super(what, { cause: facts.cause });
  }
}

/** For the log: nobody is there to read the answer. */
export const clientLeft = (cause: unknown) =>
  new Refusal(499 as ContentfulStatusCode, 'the client has left', { cause });

/** What is wrong with an upload is the client's doing, what is wrong with a disk is ours. */
const STATUS: Readonly<Record<ErrorKind, ContentfulStatusCode>> = {
  usage: 400,
  config: 400,
  input: 422,
  data: 422,
  run: 500,
  runtime: 500,
  disk: 507,
  training: 500,
};

/** Any error as one for a client: defects and disks say nothing of this machine. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (!(error instanceof UserError)) return new Refusal(500, 'the service failed', { cause: error });
  const { what, got, expected, fix, choices } = error.facts;
  const status = STATUS[error.kind];
  if (status === 507) return new Refusal(status, 'the service cannot store the request', { cause: error });
  return new Refusal(status, what, {
    ...(got !== undefined && { got }),
    ...(expected !== undefined && { expected }),
    ...(fix !== undefined && { fix }),
    ...(choices && { choices }),
    cause: error,
  });
}
