/**
 * Names that graphs of training have for inputs and outputs of their own, for new layers, and for what they make of the names of
 * parameters; and those that {@link trainingName} makes of them.
 */
const TAKEN =
  /^(model\.)*((step|learning_rate|loss|loss_scale|gradient_norm|label|mask|target|sample_weight|weight|prediction|probabilities|dropout_seed|lazy_reset_grad)$|.*\.next$|optimizer\.|gradient:|(classifier\.(hidden|output)|segmenter\.output)\.(weight|bias)$)/;

/** What an input or a weight of a model is called in training. */
export const trainingName = (name: string): string => (TAKEN.test(name) ? `model.${name}` : name);
