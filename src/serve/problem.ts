/** Errors as clients see them: RFC 9457, "Problem Details". */
import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { RequestFacts } from './context.js';
import type { Refusal } from './refusal.js';

export const PROBLEM_TYPE = 'application/problem+json';

export const problemSchema = z
  .object({
    title: z.string().describe('What is wrong.'),
    status: z.int(),
    got: z.string().optional(),
    expected: z.string().optional(),
    fix: z.string().optional().describe('What to do about it.'),
    choices: z
      .array(z.object({ name: z.string(), what: z.string() }))
      .optional()
      .describe('Of a zip with several DICOM series: what `series` may name.'),
    requestId: z.string().describe('To be found in the log of the service.'),
  })
  .openapi('Problem');

/** Headers of a refusal. */
export const refusalHeaders = ({ status, facts }: Refusal): Record<string, string> => ({
  ...(facts.retryAfterSeconds !== undefined && { 'Retry-After': String(facts.retryAfterSeconds) }),
  ...(status === 401 && { 'WWW-Authenticate': 'Bearer' }),
});

export function problem(c: Context<RequestFacts>, refusal: Refusal): Response {
  const { status, what, facts } = refusal;
  const { got, expected, fix, choices } = facts;
  const body: z.infer<typeof problemSchema> = {
    title: what,
    status,
    ...(got !== undefined && { got }),
    ...(expected !== undefined && { expected }),
    ...(fix !== undefined && { fix }),
    ...(choices && { choices: [...choices] }),
    requestId: c.get('requestId'),
  };
  return c.body(JSON.stringify(body), status, { 'Content-Type': PROBLEM_TYPE, ...refusalHeaders(refusal) });
}

/** For the OpenAPI document: any error. */
export const problemResponse = {
  description: 'A problem.',
  content: { [PROBLEM_TYPE]: { schema: problemSchema } },
};
