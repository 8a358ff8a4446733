/** What is wrong with a value, in words of ours: the validator's own name its types, and not what was given. */
import type * as z from 'zod';

const TYPES: Readonly<Record<string, string>> = {
  int: 'an integer',
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'an object',
  record: 'an object',
};

const isIntegerSchema = ({ inst }: { readonly inst?: unknown }) =>
  (inst as { readonly format?: string } | undefined)?.format === 'safeint';

/** What was expected; a schema's own message goes before it. */
const expected: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${isIntegerSchema(issue) ? TYPES.int : (TYPES[issue.expected] ?? issue.expected)}`;
    case 'too_small': {
      if (issue.origin === 'string') return 'expected some text';
      const bound = `${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`;
      return `expected ${bound}${issue.origin === 'array' ? ' elements' : ''}`;
    }
    case 'too_big': {
      const bound = `${issue.inclusive ? 'at most' : 'less than'} ${issue.maximum}`;
      return `expected ${bound}${issue.origin === 'array' ? ' elements' : ''}`;
    }
    case 'invalid_value':
      return `expected ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.join(', ')}`;
    case 'invalid_union':
      if (issue.discriminator) return `expected one of ${(issue.options as unknown[]).join(', ')}`;
      return issue.errors.flatMap(([first]) => first?.message ?? []).join(', or ');
    case 'unrecognized_keys':
      return 'unknown key';
    default:
      return undefined;
  }
};

const MOST_CHARACTERS = 80;

function got(value: unknown, path: readonly PropertyKey[]): string {
  const found = path.reduce(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  );
  if (found === undefined) return 'nothing';
  return (typeof found === 'number' ? String(found) : JSON.stringify(found)).slice(0, MOST_CHARACTERS);
}

/** What is wrong with the value at a path: `batch: expected an integer, got "many"`. */
export interface Problem {
  readonly path: readonly PropertyKey[];
  readonly text: string;
}

/** A value as a schema wants it, or a list of what is wrong with it. */
export function checkAgainst<T>(
  schema: z.ZodType<T>,
  value: unknown,
): { readonly value: T } | { readonly problems: readonly Problem[] } {
  const result = schema.safeParse(value, { error: expected });
  if (result.success) return { value: result.data };
  const problems = result.error.issues.flatMap((issue): Problem[] => {
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => {
        const path = [...issue.path, key];
        return { path, text: `${path.join('.')}: ${issue.message}` };
      });
    const { path, message } = issue;
    const place = path.length > 0 ? `${path.join('.')}: ` : '';
    return [{ path, text: `${place}${message}, got ${got(value, path)}` }];
  });
  return { problems };
}
