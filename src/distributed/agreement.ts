/** What ranks must have in common: they would do different work, or wait for each other for ever. */
import { UserError } from '../errors.js';
import type { Ranks } from './ranks.js';

const shortened = (text: string) => (text.length > 60 ? `${text.slice(0, 60)}…` : text);

/** The first rank whose value is another than that of rank 0; −1 where all have the same. */
export const firstOther = (values: readonly string[]): number =>
  values.findIndex((value) => value !== values[0]);

/**
 * @param facts what this rank works with, by name
 * @throws UserError of kind `config` that names everything in which a rank differs from the first one
 */
export async function checkAgreement(ranks: Ranks, facts: Readonly<Record<string, unknown>>): Promise<void> {
  const own = Object.entries(facts).map(
    ([name, value]) => [name, JSON.stringify(value) ?? 'nothing'] as const,
  );
  const all = (await ranks.gather(own)).map((entries) => new Map(entries));
  const names = new Set(all.flatMap((known) => [...known.keys()]));
  const differing = [...names].flatMap((name) => {
    const values = all.map((known) => known.get(name) ?? 'nothing');
    const other = firstOther(values);
    return other < 0
      ? []
      : `${name}: ${shortened(values[0]!)} on rank 0, ${shortened(values[other]!)} on rank ${other}`;
  });
  if (differing.length === 0) return;
  throw new UserError('config', {
    what: 'the ranks do not work on the same run',
    got: differing.join('\n            '),
    fix: 'give all ranks the same command, version, configuration and data, and run folders that all hosts share',
  });
}
