import { UserError } from '../errors.js';

/**
 * @param output its name
 * @param path of the model
 * @throws UserError for results that are no numbers: what is made of them, such as an empty mask, would look like a finding
 */
export function checkFinite(values: Float32Array, output: string, path: string): void {
  const wrong = values.find((value) => !Number.isFinite(value));
  if (wrong === undefined) return;
  throw new UserError('input', {
    what: 'the model gives values that are no finite numbers for this scan',
    where: path,
    got: `${wrong} in the output "${output}"`,
    fix: 'check its weights, or export it in float32: float16 overflows above 65,504',
  });
}
