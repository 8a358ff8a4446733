/** What ranks must have in common: they would train different networks, or wait for each other for ever. */
import { createHash } from 'node:crypto';
import type { Ranks } from '../distributed/ranks.js';
import { UserError } from '../errors.js';
import type { State } from '../runs/state.js';

const shortened = (text: string) => (text.length > 60 ? `${text.slice(0, 60)}…` : text);

/** The first rank whose value is another than that of rank 0; −1 where all have the same. */
const firstOther = (values: readonly string[]) => values.findIndex((value) => value !== values[0]);

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

/**
 * Ranks have the same state at all times, as long as their processors round alike.
 * @throws UserError of kind `training` when a rank's state is another than that of the first one
 */
export async function checkSameState(ranks: Ranks, state: State, step: number): Promise<void> {
  if (ranks.size === 1) return;
  const hash = createHash('sha256');
  for (const { data } of state.values()) hash.update(data as Float32Array);
  const other = firstOther(await ranks.gather(hash.digest('hex')));
  if (other < 0) return;
  throw new UserError('training', {
    what: 'the ranks have drifted apart: they no longer have the same weights',
    where: `step ${step}`,
    got: `weights on rank ${other} that differ from those on rank 0`,
    fix: 'run all ranks on processors of the same type, and resume from the last checkpoint',
  });
}
