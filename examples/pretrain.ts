/** Scans to a portable encoder, as a program. Run it: npx tsx examples/pretrain.ts SCANS OUT [STEPS] */
import { join } from 'node:path';
import { embed, exportModel, makeReport, prepare, pretrain, terminalReporter } from 'parts2whole';

const [scans = 'scans', out = 'out', steps = '1000'] = process.argv.slice(2);

const tiles = await prepare({
  input: [scans],
  out: join(out, 'tiles'),
  size: [32, 32, 16],
  valFraction: 0.25,
});
console.log(`${tiles.trainTiles} tiles to train on, ${tiles.validationTiles} to validate`);

const run = join(out, 'run');
const trained = await pretrain({
  data: tiles.out,
  out: run,
  preset: 'tiny',
  config: { steps: Number(steps) },
  reporter: terminalReporter,
});
console.log(`step ${trained.step}, best validation MSE ${trained.best?.validationLoss}`);

const report = await makeReport({ run, wholes: 8, parts: 4 });
const { model, featureError } = await exportModel({ run, out: join(out, 'encoder') });
const features = await embed({ model, input: [tiles.out], out: join(out, 'features.npy') });
console.log(`${report.report}; ${model}, checked to ${featureError}; ${features.rows} feature vectors`);
