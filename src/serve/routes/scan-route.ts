/** What the routes that take a scan have in common. */
import { createRoute, z } from '@hono/zod-openapi';
import type { ModelKind } from '../../inference/model-interface.js';
import { answerUpload } from '../answer.js';
import { chooseModel } from '../choose-model.js';
import type { Routes, ServiceContext } from '../context.js';
import { chooseOutput, MEDIA_TYPES } from '../formats.js';
import type { ModelFacts, Output, ScanWork } from '../jobs.js';
import { problemResponse } from '../problem.js';
import { Refusal } from '../refusal.js';

interface ScanRoute<Query extends z.ZodRawShape> {
  readonly path: string;
  readonly summary: string;
  readonly description: string;
  /** Models that can do it. */
  readonly kinds: readonly [ModelKind, ...ModelKind[]];
  /** The one model that will do, where it is not any of its kind, or the one that the request names. */
  readonly choose?: (context: ServiceContext) => ModelFacts;
  readonly query: Query;
  /** What can be answered, and what each is; the first is the default. */
  readonly outputs: Partial<Record<Output, z.ZodType>>;
  readonly workOf: (query: z.output<z.ZodObject<Query>>) => ScanWork;
}

/** A number in a query. */
export const numberSchema = (least: number, most: number, byDefault: number, description: string) =>
  z.coerce
    .number()
    .min(least)
    .max(most)
    .default(byDefault)
    .openapi({ type: 'number', minimum: least, maximum: most, default: byDefault, description });

/** How much windows overlap; more would take a scan through the network a thousand times. */
export const overlapSchema = (share: number) =>
  numberSchema(0, 0.75, share, 'Share of a window that the next one covers again.');

/** A place with three coordinates, if there is one. */
export const place = (what: string) => z.array(z.number()).length(3).nullable().describe(what);

export const binarySchema = (description: string) => z.string().meta({ format: 'binary', description });

/** What the JSON of every scan says first. */
export const aboutSchema = {
  model: z.object({ name: z.string(), sha256: z.string() }),
  notes: z
    .array(z.string())
    .describe('What was noticed of the scan, such as values that do not look like HU.'),
};

export const gridSchema = z.object({
  size: z.array(z.int()).length(3).describe('Voxels along x, y, z.'),
  spacing: z.array(z.number()).length(3).describe('mm.'),
  origin: z.array(z.number()).length(3).describe('LPS, mm.'),
  direction: z
    .array(z.number())
    .length(9)
    .describe('3×3, row-major: column i is the direction of voxel axis i.'),
});

const SCAN_TYPES = ['application/octet-stream', 'application/dicom', 'application/zip'];

/** Options of all routes that take a scan. */
interface Common {
  readonly model?: string;
  readonly series?: string;
}

/** A route that takes a scan as its body. */
export function scanRoute<Query extends z.ZodRawShape>(spec: ScanRoute<Query>): Routes {
  const outputs = Object.keys(spec.outputs) as Output[];
  const schema = z.strictObject({
    model: z.string().optional().describe('Name of a model; needed where several can do it.'),
    series: z
      .string()
      .regex(/^(?:[0-9a-f]{12}|\d+(?:\.\d+)+)(?:-\d+)?$/)
      .max(80)
      .optional()
      .describe('Which DICOM series of several, by the name that the error lists.'),
    ...spec.query,
  });
  const route = createRoute({
    method: 'post',
    path: spec.path,
    summary: spec.summary,
    description: spec.description,
    request: {
      query: schema,
      body: {
        required: true,
        description:
          'The scan, recognised by its content: NIfTI (.nii, .nii.gz), MetaImage (.mha), NRRD, .npy, a DICOM file, or a zip of DICOM files or of a header (.mhd, .nhdr, .hdr) with its data files.',
        content: Object.fromEntries(
          SCAN_TYPES.map((type) => [type, { schema: { type: 'string' as const, format: 'binary' } }]),
        ),
      },
    },
    responses: {
      200: {
        description: 'By the Accept header.',
        content: Object.fromEntries(
          outputs.map((output) => [MEDIA_TYPES[output], { schema: spec.outputs[output]! }]),
        ),
      },
      default: problemResponse,
    },
  });
  return (app, context) => {
    app.openapi(route, async (c) => {
      // The compiler cannot tell what is in a schema that has been spread into another.
      const {
        model: name,
        series,
        ...query
      } = c.req.valid('query' as never) as Common & z.output<z.ZodObject<Query>>;
      const output = chooseOutput(c.req.header('accept'), outputs);
      if (!output)
        throw new Refusal(406, 'the answer cannot be had in this format', {
          expected: outputs.map((known) => MEDIA_TYPES[known]).join(', '),
        });
      const model = spec.choose?.(context) ?? chooseModel(context.pool.models, spec.kinds, name);
      const work = spec.workOf(query as unknown as z.output<z.ZodObject<Query>>);
      return answerUpload(c, context, model, { ...work, output, series }, spec.choose !== undefined);
    });
  };
}
