/** The KServe v2 protocol over HTTP: for clients of Triton and KServe. Its own specification documents it. */
import { version } from '../../version.js';
import { answerUpload } from '../answer.js';
import type { Routes, ServiceContext } from '../context.js';
import type { ModelFacts, TensorFacts } from '../jobs.js';
import { DATATYPES, HEADER_LENGTH, versionOf } from '../kserve.js';
import { Refusal } from '../refusal.js';

/** @throws Refusal for a model, or a version of one, that is not served */
function modelOf({ pool }: ServiceContext, name: string, wanted: string | undefined): ModelFacts {
  const model = pool.models.find((candidate) => candidate.name === name);
  if (model && (wanted === undefined || wanted === versionOf(model.sha256))) return model;
  throw new Refusal(404, 'there is no such model', {
    got: [name, wanted]
      .filter((text) => text !== undefined)
      .join(', version ')
      .slice(0, 200),
    expected: pool.models.map((known) => `${known.name}, version ${versionOf(known.sha256)}`).join('; '),
  });
}

const tensor = ({ name, type, shape }: TensorFacts) => ({ name, datatype: DATATYPES[type], shape });

/** @throws Refusal when it is no number of bytes */
function headerBytes(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new Refusal(400, `${HEADER_LENGTH} is not a number of bytes`);
}

export const kserveHealthRoutes: Routes = (app, { pool, isOpen }) => {
  app.get('/v2/health/live', (c) => c.json({ live: true }));
  app.get('/v2/health/ready', (c) => {
    const ready = isOpen() && pool.ready > 0;
    return c.json({ ready }, ready ? 200 : 503);
  });
};

export const kserveRoutes: Routes = (app, context) => {
  app.get('/v2', (c) => c.json({ name: 'parts2whole', version, extensions: ['binary_tensor_data'] }));
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version'] as const) {
    app.get(path, (c) => {
      const { name, sha256, inputs, outputs } = modelOf(
        context,
        c.req.param('model'),
        c.req.param('version'),
      );
      return c.json({
        ...{ name, versions: [versionOf(sha256)], platform: 'onnxruntime_onnx' },
        ...{ inputs: inputs.map(tensor), outputs: outputs.map(tensor) },
      });
    });
    app.get(`${path}/ready`, (c) => {
      const { name } = modelOf(context, c.req.param('model'), c.req.param('version'));
      return c.json({ name, ready: context.pool.ready > 0 }, context.pool.ready > 0 ? 200 : 503);
    });
    app.post(`${path}/infer`, (c) => {
      const version = c.req.param('version');
      const model = modelOf(context, c.req.param('model'), version);
      const work = { operation: 'infer', headerBytes: headerBytes(c.req.header(HEADER_LENGTH)) } as const;
      return answerUpload(c, context, model, work, version !== undefined);
    });
  }
};
