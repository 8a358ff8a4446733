/** Asks which of several scans is to be opened. */
import type { Choice } from '../src/errors.js';
import { element, make } from './dom.js';

/**
 * @param signal closes the question
 * @returns the name of the one that is chosen
 * @throws Error when none is
 */
export async function choose(choices: readonly Choice[], signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const dialog = element<HTMLDialogElement>('#choice-dialog');
  const buttons = choices.map(({ name, what }) => make('button', { value: name, title: name }, what));
  element('#choices').replaceChildren(...buttons);
  dialog.returnValue = '';
  const close = () => dialog.close();
  signal.addEventListener('abort', close);
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  signal.removeEventListener('abort', close);
  signal.throwIfAborted();
  if (dialog.returnValue === '') throw new Error(`none of these ${choices.length} scans was chosen`);
  return dialog.returnValue;
}
