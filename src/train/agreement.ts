/** What ranks that train together must have in common at all times. */
import { createHash } from 'node:crypto';
import { checkAgreement, firstOther } from '../distributed/agreement.js';
import type { Ranks } from '../distributed/ranks.js';
import { UserError } from '../errors.js';
import type { Checkpoint } from '../runs/checkpoint.js';
import type { State } from '../runs/state.js';
import type { Engine } from '../runtime/engine.js';
import { version } from '../version.js';

/** What a rank is about to train. */
export interface AgreedTraining {
  readonly engine: Pick<Engine, 'name' | 'provider'>;
  readonly dataHash: string;
  /** Where it goes on; null for a new run. */
  readonly checkpoint: Pick<Checkpoint, 'state'> | null;
  /** As they were asked for, by name: what follows from them may differ from host to host. */
  readonly settings: object;
}

/** @throws UserError of kind `config` that names everything in which a rank would train otherwise than the first one */
export const checkSameTraining = (
  ranks: Ranks,
  { engine, dataHash, checkpoint, settings }: AgreedTraining,
): Promise<void> =>
  checkAgreement(ranks, {
    ...settings,
    version,
    'engine in use': `${engine.name}, ${engine.provider}`,
    'hash of the data': dataHash,
    'steps so far': checkpoint?.state.step ?? 0,
  });

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
