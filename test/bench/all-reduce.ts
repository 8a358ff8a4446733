/**
 * `mpirun -n 4 npx tsx test/bench/all-reduce.ts [PRESET]`: how fast these ranks add up, as src/bench/scale.ts takes it, and whether a
 * training's own all-reduce takes as long as is predicted from that.
 */
import { allReduceSeconds, trafficOf } from '../../src/bench/scale.js';
import { spreadOf } from '../../src/bench/spread.js';
import { randomBatch } from '../../src/bench/workloads/random-batch.js';
import { type PresetName, resolveConfig } from '../../src/config/pretraining.js';
import { openMpi } from '../../src/distributed/mpi.js';
import type { Ranks } from '../../src/distributed/ranks.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { createHostStepper } from '../../src/train/host-stepper.js';
import { batchFeeds, proxyWorkload } from '../../src/train/proxy.js';

const ROUNDS = 20;
const STEPS = 8;
/** Bytes of a large buffer: neither of the trainings' sizes. */
const LARGE = 2 ** 25;

const secondsOf = async (work: () => Promise<unknown>) => {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
};

/** Median time of an all-reduce that all ranks begin together, seen from the one that comes last: the others wait for it. */
async function allReduce(ranks: Ranks, bytes: number): Promise<number> {
  const values = new Float32Array(bytes / 4);
  const rounds: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    await ranks.gather(null);
    const all = await ranks.gather(await secondsOf(() => ranks.sum(values)));
    rounds.push(Math.min(...all));
  }
  return spreadOf(rounds).median;
}

const ranks = await openMpi();
const { size } = ranks;
if (size === 1) {
  console.error('one rank has nothing to add up: start several with mpirun');
  ranks.close();
  process.exit(1);
}
const [few, many] = [await allReduce(ranks, 4), await allReduce(ranks, LARGE)];
const link = {
  latency: few / (2 * (size - 1)),
  bandwidth: (2 * (size - 1) * LARGE) / size / (many - few),
};

const preset = (process.argv[2] ?? 'tiny') as PresetName;
const config = { ...resolveConfig({ preset }), batch: size, microBatch: 1, threads: 1 };
let exchange = 0;
const timed: Ranks = {
  ...ranks,
  async sum(values) {
    exchange += await secondsOf(() => ranks.sum(values));
  },
};
const stepper = await createHostStepper(proxyWorkload(config, config.whole), config, nodeEngine, {
  ranks: timed,
});
const feeds = batchFeeds(randomBatch({ ...config, batch: 1 }, ranks.rank));
const times: number[] = [];
for (let step = 1; step <= STEPS; step++) {
  exchange = 0;
  await stepper.run([[feeds]], 1e-3, step);
  times.push(Math.min(...(await ranks.gather(exchange))));
}
await stepper.release();
if (ranks.rank === 0) {
  const { reduced } = trafficOf(preset, 1);
  const ms = (seconds: number) => `${(1000 * seconds).toFixed(2)} ms`;
  const { median, min, max } = spreadOf(times.slice(1));
  console.log(
    `${ranks.description}: bandwidth ${(link.bandwidth / 1e9).toFixed(2)} GB/s, latency ${(1e6 * link.latency).toFixed(1)} µs; ` +
      `${preset}, ${(reduced / 1e6).toFixed(1)} MB: predicted ${ms(allReduceSeconds(reduced, size, link))}, ` +
      `measured ${ms(median)} (${ms(min)}–${ms(max)})`,
  );
}
ranks.close();
