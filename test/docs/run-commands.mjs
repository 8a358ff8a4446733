/**
 * Runs command lines one after the other, as the built `p2w` would, in one process: starting one for each takes longer than most of
 * the documents' commands. Ends with the first that fails.
 */
import { main } from '../../dist/bin/main.js';

for (const line of JSON.parse(process.argv[2])) {
  process.exitCode = undefined;
  const code = (await main(line)) ?? process.exitCode ?? 0;
  if (code === 0) continue;
  console.error(`p2w ${line.join(' ')}: exit code ${code}`);
  process.exit(code);
}
