import { makePhantom, openPretraining, readScan } from 'parts2whole/browser';
import { openEngine, trainOnRequest } from '../shared/worker.js';
import type { Images, Start } from './messages.js';

trainOnRequest<Start, Images>(async ({ scan: file, weights, provider }, say) => {
  say(file ? `reading ${file.name}` : 'making a synthetic chest CT');
  const scan = file
    ? await readScan(file)
    : makePhantom({ seed: 1, index: 0, size: [128, 128, 96], spacing: [2.5, 2.5, 3] }).volume;
  say('loading ONNX Runtime and the training step');
  const training = await openPretraining({
    engine: openEngine(provider),
    scan,
    config: { batch: 8 },
    ...(weights ? { weights: new Uint8Array(await weights.arrayBuffer()) } : {}),
  });
  const { tiles } = training;
  say(`training on ${tiles.training} tiles, validating on ${tiles.validation}`);
  return {
    step: async () => (await training.step()).loss,
    async validate() {
      const { mse, size, part, reconstruction, whole } = await training.validate();
      return { loss: mse, shown: [part, reconstruction, whole].map((voxels) => ({ size, voxels })) };
    },
    files: async () => ({
      'weights.safetensors': await training.weights(),
      'encoder.onnx': await training.encoder(),
    }),
    release: () => training.release(),
  };
});
