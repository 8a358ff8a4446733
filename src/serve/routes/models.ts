import { createRoute, z } from '@hono/zod-openapi';
import type { Routes } from '../context.js';

const triple = z.tuple([z.number(), z.number(), z.number()]).readonly();
const tensor = z.object({
  name: z.string(),
  type: z.enum(['float32', 'int16']),
  shape: z.array(z.int()).readonly().describe('−1 is any number.'),
});

const route = createRoute({
  method: 'get',
  path: '/v1/models',
  summary: 'The models that are served',
  responses: {
    200: {
      description: 'All models.',
      content: {
        'application/json': {
          schema: z.object({
            models: z.array(
              z
                .object({
                  name: z.string(),
                  kind: z.enum(['encoder', 'autoencoder', 'classifier', 'segmenter']),
                  sha256: z.string().describe('Of the file.'),
                  window: triple.describe('Voxels of a window, x, y, z.'),
                  spacing: triple.nullable().describe('mm; null for any.'),
                  normalise: z.string(),
                  metadata: z.record(z.string(), z.string()).describe('What the file says of itself.'),
                  classes: z.array(z.string()).readonly(),
                  inputs: z.array(tensor).readonly(),
                  outputs: z.array(tensor).readonly(),
                  selfTestError: z
                    .number()
                    .nullable()
                    .describe('Relative RMS difference to the results at export; null without a self-test.'),
                })
                .openapi('Model'),
            ),
          }),
        },
      },
    },
  },
});

export const modelRoutes: Routes = (app, { pool }) => {
  app.openapi(route, (c) => c.json({ models: [...pool.models] }, 200));
};
