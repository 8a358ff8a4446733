import type { ModelKind } from '../inference/model-interface.js';
import type { ModelFacts } from './jobs.js';
import { Refusal } from './refusal.js';

/**
 * The model that a request is for: the one that it names, or the only one of the kinds that can do it.
 * @throws Refusal when there is none, or several
 */
export function chooseModel(
  models: readonly ModelFacts[],
  kinds: readonly ModelKind[],
  name: string | undefined,
): ModelFacts {
  const able = models.filter(({ kind }) => kinds.includes(kind));
  const names = able.map((model) => model.name).join(', ') || 'none';
  if (name !== undefined) {
    const found = able.find((model) => model.name === name);
    if (found) return found;
    throw new Refusal(404, `there is no such ${kinds[0]}`, { got: name.slice(0, 100), expected: names });
  }
  if (able.length === 1) return able[0]!;
  if (able.length === 0) throw new Refusal(404, `this service has no ${kinds[0]}`);
  throw new Refusal(400, `there are several models of this kind`, {
    expected: `?model= with one of ${names}`,
  });
}
