/** Scans and regions of an index that are like a scan. There are no such routes without an index. */
import { basename } from 'node:path';
import { createRoute, z } from '@hono/zod-openapi';
import type { VoxelBox } from '../../commands/query.js';
import type { Routes } from '../context.js';
import { openFileBody } from '../file-body.js';
import { encoderOf } from '../index-facts.js';
import { problemResponse } from '../problem.js';
import { Refusal } from '../refusal.js';
import { aboutSchema, binarySchema, numberSchema, place, scanRoute } from './scan-route.js';

const centreSchema = place('Middle of the window in LPS mm; null for a whole scan.');

const hitSchema = z
  .object({
    score: z.number().describe('Cosine of the two vectors, each less the mean of the index: −1 … 1.'),
    source: z.string().describe('Name of the scan.'),
    offset: place('First voxel of the window, x, y, z, in LPS orientation; null for a whole scan.'),
    centre: centreSchema,
    windows: z.int().describe('Windows that were averaged.'),
    picture: z.string().nullable().describe('Three planes through it, as a data URL of a PNG.'),
    scan: z.string().nullable().describe('Where the scan itself is, on this service.'),
  })
  .openapi('Hit');

/** The most that one request may find. */
const MOST_HITS = 100;

const searchRoute = scanRoute({
  path: '/v1/search',
  summary: 'Similar scans or regions',
  description: 'By the encoder that the index was made with. A scan that is in the index is found, too.',
  kinds: ['encoder'],
  choose: ({ pool, index }) => {
    const model = encoderOf(index!, pool.models);
    if (model) return model;
    throw new Refusal(503, 'the encoder of the index is no longer served');
  },
  query: {
    k: numberSchema(1, MOST_HITS, 10, 'How many to find.').refine(Number.isInteger, 'a whole number'),
    box: z
      .string()
      .regex(/^\d{1,6}(,\d{1,6}){5}$/)
      .optional()
      .describe(
        'First and last voxel of a part of the scan, x,y,z,x,y,z, in LPS orientation; all of it without.',
      ),
    pictures: z
      .enum(['true', 'false'])
      .default('false')
      .describe('Whether to read the scans that are found, and draw them.'),
  },
  outputs: {
    json: z.object({ ...aboutSchema, windows: z.int(), hits: z.array(hitSchema) }).openapi('Hits'),
  },
  workOf: ({ k, box, pictures }) => {
    const voxels = box?.split(',').map(Number);
    return {
      ...{ operation: 'search', k, pictures: pictures === 'true' },
      box: voxels ? ([voxels.slice(0, 3), voxels.slice(3)] as unknown as VoxelBox) : null,
    };
  },
});

const indexRoute = createRoute({
  method: 'get',
  path: '/v1/index',
  summary: 'What is searched',
  responses: {
    200: {
      description: 'Size and origin of the index.',
      content: {
        'application/json': {
          schema: z
            .object({
              rows: z.int().describe('Vectors.'),
              sources: z.int().describe('Scans.'),
              dimensions: z.int().describe('Length of a vector.'),
              encoder: z.string().describe('SHA-256 of the encoder.'),
              recall: z.number().describe('Share of the ten nearest neighbours that a search finds.'),
              map: z
                .array(z.object({ source: z.string(), centre: centreSchema, x: z.number(), y: z.number() }))
                .nullable()
                .describe('Some rows as points of a plane (UMAP); null where they are too few.'),
            })
            .openapi('Index'),
        },
      },
    },
    default: problemResponse,
  },
});

const scanFileRoute = createRoute({
  method: 'get',
  path: '/v1/index/scans/{number}',
  summary: 'A scan of the index',
  description: 'The file itself. Folders of DICOM files cannot be had.',
  request: { params: z.object({ number: z.coerce.number().int().min(0) }) },
  responses: {
    200: {
      description: 'The file.',
      content: { 'application/octet-stream': { schema: binarySchema('As it is stored.') } },
    },
    default: problemResponse,
  },
});

export const searchRoutes: Routes = (app, context) => {
  const { index } = context;
  if (!index) return;
  const { manifest, map } = index;
  searchRoute(app, context);
  app.openapi(indexRoute, (c) =>
    c.json(
      {
        ...{ rows: manifest.rows, sources: manifest.sources.length, dimensions: manifest.dimensions },
        ...{ encoder: manifest.model.sha256, recall: manifest.recall },
        map: map?.map(({ centre, ...point }) => ({ ...point, centre: centre && [...centre] })) ?? null,
      },
      200,
    ),
  );
  app.openapi(scanFileRoute, async (c) => {
    const path = manifest.sources[c.req.valid('param').number]?.path;
    const found = path ? await openFileBody(path).catch(() => null) : null;
    if (!found) throw new Refusal(404, 'this scan is not here as one file');
    return c.body(found.body, 200, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': String(found.bytes),
      'Content-Disposition': `attachment; filename*=UTF-8''${encodeURIComponent(basename(path!))}`,
    });
  });
};
