import { z } from '@hono/zod-openapi';
import { aboutSchema, binarySchema, overlapSchema, place, scanRoute } from './scan-route.js';

export const embedRoutes = scanRoute({
  path: '/v1/embed',
  summary: 'Feature vectors of a scan',
  description: 'By an encoder, or the encoder of an autoencoder.',
  kinds: ['encoder', 'autoencoder'],
  query: {
    per: z
      .enum(['scan', 'window'])
      .default('scan')
      .describe('One vector, the mean over all windows, or one for each window.'),
    overlap: overlapSchema(0),
  },
  outputs: {
    json: z
      .object({
        ...aboutSchema,
        dimensions: z.int(),
        vectors: z.array(
          z.object({
            windows: z.int().describe('How many windows it is the mean of.'),
            offset: place('First voxel of the window, x, y, z, in LPS orientation.'),
            centre: place('Middle of the window in LPS mm.'),
            features: z.array(z.number()),
          }),
        ),
      })
      .openapi('Features'),
    npy: binarySchema('float32, [features], or [windows, features].'),
  },
  workOf: ({ per, overlap }) => ({ operation: 'embed', per, overlap }),
});
