/** Inputs and outputs that graphs of training have of their own. */
const INPUTS_AND_OUTPUTS = [
  ...['step', 'learning_rate', 'loss', 'loss_scale', 'gradient_norm', 'lazy_reset_grad', 'dropout_seed'],
  ...['label', 'mask', 'target', 'sample_weight', 'weight', 'prediction', 'probabilities'],
];
/** What graphs make of the names of parameters, and the parameters of new layers. */
const OF_PARAMETERS = [
  ...['.*\\.next', 'optimizer\\..*', 'gradient:.*'],
  '(classifier\\.(hidden|output)|segmenter\\.output)\\.(weight|bias)',
];
/** Names that are taken, and what {@link inputName} and {@link parameterName} make of them. */
const taken = (names: readonly string[]) => new RegExp(`^(model\\.)*(${names.join('|')})$`, 's');

const TAKEN = taken([...INPUTS_AND_OUTPUTS, ...OF_PARAMETERS]);
/** Samples bring an image. */
const TAKEN_BESIDE_SAMPLES = taken([...INPUTS_AND_OUTPUTS, ...OF_PARAMETERS, 'image']);

/** What an input of a model is called in training. */
export const inputName = (name: string): string => (TAKEN.test(name) ? `model.${name}` : name);

/** What a weight of a model is called in training. */
export const parameterName = (name: string): string =>
  TAKEN_BESIDE_SAMPLES.test(name) ? `model.${name}` : name;

/** A name, numbered where it is taken; it is taken then. */
export function freeName(taken: Set<string>, wanted: string): string {
  let name = wanted;
  for (let i = 2; taken.has(name); i++) name = `${wanted}_${i}`;
  taken.add(name);
  return name;
}

/** Gives names that are not taken, each time the same for the same name. @param known names that are given already */
export function freeNames(
  taken: Set<string>,
  wantedFor: (name: string) => string = (name) => name,
  known: Iterable<readonly [string, string]> = [],
): (name: string) => string {
  const names = new Map([['', ''], ...known]);
  return (name) => {
    const free = names.get(name) ?? freeName(taken, wantedFor(name));
    names.set(name, free);
    return free;
  };
}
