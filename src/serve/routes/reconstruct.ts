import { z } from '@hono/zod-openapi';
import { aboutSchema, binarySchema, gridSchema, overlapSchema, scanRoute } from './scan-route.js';

export const reconstructRoutes = scanRoute({
  path: '/v1/reconstruct',
  summary: 'What an autoencoder makes of a scan',
  description: 'Each window is reconstructed from the part in its middle, or as the model was trained.',
  kinds: ['autoencoder'],
  query: { overlap: overlapSchema(0.5) },
  outputs: {
    json: z
      .object({
        ...aboutSchema,
        grid: gridSchema,
        meanAbsoluteError: z.number().describe('As a share of the model’s window.'),
        meanSquaredError: z.number(),
      })
      .openapi('ReconstructionErrors'),
    nifti: binarySchema('The reconstruction, .nii.gz, int16.'),
    npy: binarySchema('The reconstruction, int16, [z, y, x] in the order of the file.'),
    png: binarySchema('Three planes of the scan, the reconstruction, and the error.'),
  },
  workOf: ({ overlap }) => ({ operation: 'reconstruct', overlap }),
});
