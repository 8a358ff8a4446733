/** A synthetic chest CT, for those who have no scan at hand. */
import { makePhantom } from '../src/phantom/chest.js';
import { niftiOf } from './viewer.js';

export function phantomFile(): File {
  const { volume } = makePhantom({ seed: 1, index: 0, size: [160, 128, 96], spacing: [2.2, 2.2, 3] });
  return niftiOf('synthetic chest', volume);
}
