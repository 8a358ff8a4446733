import type { FinetuneConfig } from '../config/finetuning.js';
import { normalisationOf } from '../data/samples/values.js';
import type { Checkpoint } from '../runs/checkpoint.js';
import type { FinetuneRunFacts } from '../runs/run.js';

/** What every fine-tuned model says of itself, whatever network it is. */
export function targetMetadata(
  { kind, seed }: Pick<FinetuneConfig, 'kind' | 'seed'>,
  { format, spacing }: Pick<FinetuneRunFacts, 'format' | 'spacing'>,
  { state }: Pick<Checkpoint, 'state'>,
  license: string,
): Record<string, string> {
  return {
    task: `${format.task}, ${kind}`,
    classes: JSON.stringify(format.classes),
    training_steps: String(state.step),
    best_validation_loss: state.best ? String(state.best.validationLoss) : '',
    data_manifest_sha256: state.dataHash,
    seed: String(seed),
    axes: 'D = z (towards the head), H = y (towards the back), W = x (towards the left): LPS, x fastest',
    normalise: normalisationOf(format),
    ...(format.window ? { window: JSON.stringify(format.window) } : {}),
    sample_size: format.size.join('x'),
    ...(spacing ? { spacing: spacing.join('x') } : {}),
    license,
    intended_use: 'research; not a medical device',
  };
}
