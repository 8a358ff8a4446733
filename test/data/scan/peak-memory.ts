/** Reads a scan in a process of its own and prints what came of it, and by how many MiB its memory grew at most. */
import { readVolume } from '../../../src/data/scan/index.js';

const peak = () => process.resourceUsage().maxRSS / 1024;
const before = peak();
const outcome = await readVolume(process.argv[2]!).then(
  ({ voxels, size }) => `${voxels.constructor.name} of ${size.join('×')}`,
  (error: Error) => error.message,
);
console.log(JSON.stringify({ outcome, grownMiB: peak() - before }));
