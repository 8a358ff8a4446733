/** What ranks that train together must have in common at all times. */
import { createHash } from 'node:crypto';
import { firstOther } from '../distributed/agreement.js';
import type { Ranks } from '../distributed/ranks.js';
import { UserError } from '../errors.js';
import type { State } from '../runs/state.js';

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
