import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { importModel } from '../graphs/imported/import-model.js';
import { inspect } from '../src/commands/inspect.js';
import { UserError } from '../src/errors.js';
import { externalFeatures } from '../src/inference/external-encoder.js';
import { openImageModel } from '../src/inference/image-model.js';
import { readModelFile, withModelFile } from '../src/onnx-file.js';
import { nodeEngine } from '../src/runtime/node.js';
import { temporaryFolder } from './data/store/tiles-sample.js';
import { protoModel, protoNode, protoTensor, protoValue } from './graphs/onnx-proto.js';

const root = temporaryFolder();
const folder = join(root, 'model');
mkdirSync(join(folder, 'sub'), { recursive: true });
for (const path of ['model/weights.bin', 'model/sub/weights.bin', 'secret.bin'])
  writeFileSync(join(root, path), new Uint8Array(64));
symlinkSync(join(root, 'secret.bin'), join(folder, 'link.bin'));
symlinkSync('weights.bin', join(folder, 'near.bin'));

/** Writes a model of one stored tensor of 3 values, and one of `dims` that lies beside the model. */
function modelWith(entries: Record<string, string>, dims: readonly number[] = [4]): string {
  const path = join(folder, 'model.onnx');
  const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
  const bytes = protoModel({
    nodes: [protoNode('Relu', ['x'], ['features'])],
    inputs: [protoValue('x', [1, 1, 2, 2, 2])],
    outputs: [protoValue('features', [1, 1, 2, 2, 2])],
    initializers: [
      protoTensor('stored', [3], [1, 2, 3]),
      { name: 'w', dims, dataType: 1, dataLocation: 1, externalData },
    ],
  });
  writeFileSync(path, bytes);
  return path;
}

describe('a model whose tensors lie in files beside it', () => {
  test.each([
    [
      'with a length of 10^18',
      { location: 'weights.bin', length: '1000000000000000000' },
      'has 1000000000000000000 bytes',
    ],
    ['with a length of −5', { location: 'weights.bin', length: '-5' }, 'has -5 bytes'],
    ['beyond the end', { location: 'weights.bin', offset: '56' }, 'is beyond the end of weights.bin'],
    ['at an offset of 10^15', { location: 'weights.bin', offset: '1000000000000000' }, 'is beyond the end'],
    ['in a folder', { location: 'sub' }, 'is stored in sub, which is not a file'],
    ['above the model', { location: '../secret.bin' }, "outside the model's folder"],
    ['above it by a detour', { location: 'sub/../../secret.bin' }, "outside the model's folder"],
    ['at a path of the whole system', { location: join(root, 'secret.bin') }, "outside the model's folder"],
    ['at a path of Windows', { location: 'C:\\secret.bin' }, "outside the model's folder"],
    ['behind a link that leads outside', { location: 'link.bin' }, "outside the model's folder"],
    ['in a file that is not there', { location: 'gone.bin' }, 'no such file'],
  ])('is refused %s', async (_, entries, message) => {
    const path = modelWith(entries);
    expect(() => readModelFile(path)).toThrow(UserError);
    expect(() => readModelFile(path)).toThrow(message);
    await expect(inspect(path)).rejects.toThrow(UserError);
  });

  test.each(['weights.bin', './weights.bin', 'sub/weights.bin', 'near.bin'])(
    'may have them in %s',
    async (location) => {
      const { facts } = await inspect(modelWith({ location, offset: '16', length: '16' }));
      expect(facts).toMatchObject({ storedValues: 3, valuesInOtherFiles: { [location]: 4 } });
    },
  );

  test('that claims gigabytes is refused where they are not there, and takes no memory where they are', async () => {
    const path = modelWith({ location: 'large.bin', length: '2500000000' }, [625, 1_000_000]);
    writeFileSync(join(folder, 'large.bin'), new Uint8Array(8));
    await expect(inspect(path)).rejects.toThrow('is beyond the end of large.bin');
    truncateSync(join(folder, 'large.bin'), 2_500_000_000);
    const before = process.memoryUsage().rss;
    const { facts } = await inspect(path);
    expect(process.memoryUsage().rss - before).toBeLessThan(50e6);
    expect(facts).toMatchObject({
      ...{ storedValues: 3, valuesInOtherFiles: { 'large.bin': 625e6 } },
      training: { canBeTrained: 'not examined' },
    });
  });

  test('is not run, and says how to make one file of it', async () => {
    const path = modelWith({ location: 'weights.bin' });
    const message = /a separate file[\s\S]*weights\.bin[\s\S]*one file/;
    await expect(externalFeatures(path, undefined as never, nodeEngine, 1)).rejects.toThrow(message);
    expect(() => openImageModel(path, nodeEngine)).toThrow(message);
  });
});

describe('a model that is trained, with weights beside it', () => {
  /** x [2,3] → y [2,2], with the weights of a layer in another file. */
  function layerWith(entries: Record<string, string>): string {
    const path = join(folder, 'layer.onnx');
    const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
    const bytes = protoModel({
      nodes: [protoNode('MatMul', ['x', 'w'], ['y'])],
      inputs: [protoValue('x', [2, 3])],
      outputs: [protoValue('y', [2, 2])],
      initializers: [{ name: 'w', dims: [3, 2], dataType: 1, dataLocation: 1, externalData }],
    });
    writeFileSync(path, bytes);
    return path;
  }
  const imported = (path: string) =>
    withModelFile(path, ({ bytes, externalData }) => importModel(bytes, { externalData }));

  test('has them read', () => {
    writeFileSync(join(folder, 'six.bin'), new Uint8Array(Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7).buffer));
    const { parameters } = imported(layerWith({ location: 'six.bin', offset: '8' }));
    expect([...parameters[0]!.values]).toEqual([2, 3, 4, 5, 6, 7]);
  });

  test.each([
    ['that are missing', { location: 'gone.bin' }, 'no such file'],
    ['outside its folder', { location: '../secret.bin' }, "outside the model's folder"],
    [
      'of another size than it says',
      { location: 'weights.bin', length: '12' },
      'has 12 bytes in weights.bin',
    ],
    ['that end too early', { location: 'weights.bin', offset: '60' }, 'is beyond the end of weights.bin'],
  ])('%s is refused', (_, entries, message) => {
    const path = layerWith(entries);
    expect(() => imported(path)).toThrow(UserError);
    expect(() => imported(path)).toThrow(message);
  });

  test('is refused as a file that is no model', () => {
    const path = join(folder, 'none.onnx');
    writeFileSync(path, 'no model');
    expect(() => imported(path)).toThrow(UserError);
    expect(() => imported(join(folder, 'gone.onnx'))).toThrow('no such file');
  });
});

test('a model that claims values which it does not store is refused', async () => {
  const path = join(folder, 'empty.onnx');
  const initializers = [{ name: 'w', dims: [2500, 1_000_000], dataType: 1 }];
  writeFileSync(path, protoModel({ nodes: [], inputs: [], outputs: [], initializers }));
  await expect(inspect(path)).rejects.toThrow('tensor "w" has 0 values, its shape needs 2500000000');
});

test('values in attributes count as stored ones', async () => {
  const path = join(folder, 'constant.onnx');
  const t = protoTensor('', [2, 3], [1, 2, 3, 4, 5, 6]);
  const nodes = [protoNode('Constant', [], ['y'], [{ name: 'value', type: 4, t }])];
  writeFileSync(path, protoModel({ nodes, inputs: [], outputs: [protoValue('y', [2, 3])] }));
  expect((await inspect(path)).facts).toMatchObject({ storedValues: 6 });
});
