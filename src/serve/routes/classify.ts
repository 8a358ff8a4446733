import { z } from '@hono/zod-openapi';
import { aboutSchema, binarySchema, overlapSchema, scanRoute } from './scan-route.js';

export const classifyRoutes = scanRoute({
  path: '/v1/classify',
  summary: 'Probabilities of classes of a scan',
  description: 'By a classifier.',
  kinds: ['classifier'],
  query: {
    per: z
      .enum(['scan', 'window'])
      .default('scan')
      .describe(
        'For the middle of the scan, cropped or padded as samples are in training, or for each window.',
      ),
    overlap: overlapSchema(0.5),
  },
  outputs: {
    json: z
      .object({
        ...aboutSchema,
        classes: z.array(z.string()),
        predictions: z.array(
          z.object({
            centre: z.array(z.number()).length(3).describe('Middle of the window in LPS mm.'),
            class: z.string().describe('The most probable one.'),
            probabilities: z.record(z.string(), z.number()),
          }),
        ),
      })
      .openapi('Classes'),
    npy: binarySchema('float32, [classes], or [windows, classes].'),
  },
  workOf: ({ per, overlap }) => ({ operation: 'classify', per, overlap }),
});
