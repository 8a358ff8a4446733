import { z } from '@hono/zod-openapi';
import {
  aboutSchema,
  binarySchema,
  gridSchema,
  numberSchema,
  overlapSchema,
  scanRoute,
} from './scan-route.js';

export const segmentRoutes = scanRoute({
  path: '/v1/segment',
  summary: 'A mask of a scan',
  description: 'By a segmenter, on the grid of the scan. 0 is background, 1 the first class.',
  kinds: ['segmenter'],
  query: {
    overlap: overlapSchema(0.5),
    largestComponent: z
      .enum(['true', 'false'])
      .default('false')
      .transform((text) => text === 'true')
      .describe('Keep only the largest connected component of each class.'),
    minimumVolume: numberSchema(0, 1e6, 0, 'Remove components that are smaller, in ml.'),
  },
  outputs: {
    json: z
      .object({
        ...aboutSchema,
        grid: gridSchema,
        volumes: z.array(z.object({ label: z.int(), class: z.string(), voxels: z.int(), ml: z.number() })),
      })
      .openapi('Volumes'),
    nifti: binarySchema('The mask, .nii.gz, uint8.'),
    npy: binarySchema('The mask, uint8, [z, y, x] in the order of the file.'),
    png: binarySchema('Three planes with the mask over the scan, where most of it is.'),
  },
  workOf: ({ overlap, largestComponent, minimumVolume }) => ({
    operation: 'segment',
    ...{ overlap, largestComponent, minimumVolume },
  }),
});
