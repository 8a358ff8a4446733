/** Names that graphs of training have for inputs and outputs of their own, and what they make of the names of parameters. */
const TAKEN =
  /^(step|learning_rate|loss|loss_scale|gradient_norm|label|mask|target|sample_weight|weight|prediction|probabilities|dropout_seed|lazy_reset_grad)$|\.next$|^optimizer\.|^gradient:/;

/** What an input or a weight of a model is called in training. */
export const trainingName = (name: string): string => (TAKEN.test(name) ? `model.${name}` : name);
