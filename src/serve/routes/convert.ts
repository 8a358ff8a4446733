import { binarySchema, scanRoute } from './scan-route.js';

export const convertRoutes = scanRoute({
  path: '/v1/convert',
  summary: 'A scan as NIfTI',
  description:
    'As a model gets to see it: with its axes along left, posterior and superior, on its own grid.',
  kinds: ['encoder', 'autoencoder', 'classifier', 'segmenter'],
  query: {},
  outputs: { nifti: binarySchema('The scan, .nii.gz, int16 or float32.') },
  workOf: () => ({ operation: 'convert' }),
});
