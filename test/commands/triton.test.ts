import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { classifier } from '../../graphs/models/transfer.js';
import { NetworkBuilder } from '../../graphs/nn/module.js';
import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import { targetGraph } from '../../graphs/programs/inference.js';
import { writeTriton } from '../../src/commands/triton.js';
import { portableModel } from '../../src/execution/models.js';
import { initialize } from '../../src/weights/initialize.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

/** The fields of Triton's ModelConfig that are used, by their published names, types and numbers. */
const ModelConfig = protobuf
  .parse(
    `syntax = "proto3";
    enum DataType { TYPE_INVALID = 0; TYPE_INT16 = 7; TYPE_FP16 = 10; TYPE_FP32 = 11; }
    message ModelInput { string name = 1; DataType data_type = 2; repeated int64 dims = 4; }
    message ModelOutput { string name = 1; DataType data_type = 2; repeated int64 dims = 3; string label_filename = 4; }
    message ModelDynamicBatching { repeated int32 preferred_batch_size = 1; uint64 max_queue_delay_microseconds = 2; }
    message Input {
      DataType data_type = 1; repeated int64 dims = 2;
      oneof input_data_type { bool zero_data = 3; bool random_data = 4; string input_data_file = 5; }
    }
    message ModelWarmup { string name = 1; uint32 batch_size = 2; map<string, Input> inputs = 3; }
    message ModelConfig {
      string name = 1; string backend = 17; int32 max_batch_size = 4;
      repeated ModelInput input = 5; repeated ModelOutput output = 6;
      ModelDynamicBatching dynamic_batching = 11; repeated ModelWarmup model_warmup = 16;
    }`,
    { keepCase: true },
  )
  .root.lookupType('ModelConfig');

type Entry = [key: string, value: unknown];

/** Reads protobuf's text format. @throws when it is not well formed */
function parseText(text: string): Entry[] {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|-?\d+|\S/g)!;
  let at = 0;
  const take = (wanted?: string) => {
    const token = tokens[at++];
    if (token === undefined || (wanted !== undefined && token !== wanted))
      throw new Error(`expected ${wanted}, got ${token}`);
    return token;
  };
  const value = (): unknown => {
    if (tokens[at] === '{') {
      take();
      const entries = message('}');
      take('}');
      return entries;
    }
    const token = take();
    return token === 'true' ? true : /^["\d-]/.test(token) ? JSON.parse(token) : token;
  };
  const message = (end?: string): Entry[] => {
    const entries: Entry[] = [];
    while (tokens[at] !== end) {
      const key = take();
      if (tokens[at] === ':') take();
      if (tokens[at] !== '[') {
        entries.push([key, value()]);
        continue;
      }
      take('[');
      while (tokens[at] !== ']') {
        entries.push([key, value()]);
        if (tokens[at] !== ']') take(',');
      }
      take(']');
    }
    return entries;
  };
  return message();
}

/** Entries as the object of a message type. @throws for a field that it does not have */
function toObject(type: protobuf.Type, entries: readonly Entry[]): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const [key, raw] of entries) {
    const field = type.fields[key];
    if (!field) throw new Error(`${type.name} has no field ${key}`);
    const { resolvedType } = field.resolve();
    const value = resolvedType instanceof protobuf.Type ? null : raw;
    if (field instanceof protobuf.MapField) {
      const entry = Object.fromEntries(raw as Entry[]);
      const inner = toObject(resolvedType as protobuf.Type, entry.value as Entry[]);
      object[key] = { ...(object[key] as object | undefined), [entry.key as string]: inner };
    } else {
      const item = value ?? toObject(resolvedType as protobuf.Type, raw as Entry[]);
      object[key] = field.repeated ? [...((object[key] as unknown[] | undefined) ?? []), item] : item;
    }
  }
  return object;
}

/** `config.pbtxt` as Triton's schema reads it. */
function readConfig(folder: string) {
  const object = toObject(ModelConfig, parseText(readFileSync(join(folder, 'config.pbtxt'), 'utf8')));
  const message = ModelConfig.fromObject(object);
  expect(ModelConfig.verify(message)).toBeNull();
  return ModelConfig.toObject(message, { enums: String, longs: Number });
}

const network = {
  width: 2,
  levels: 2,
  skip: false,
  upsampling: 'nearest',
  norm: { epsilon: 1e-3, momentum: 0.9, evalStatistics: 'running' },
} as const;

function model(seed: number): Uint8Array {
  const g = new GraphBuilder('untrained');
  const net = new NetworkBuilder(g, 'evaluation');
  classifier(net, g.input('x', 'float32', [1, 2, 8, 8, 8]), {
    network,
    frozenEncoder: false,
    hidden: null,
    outputs: 3,
  });
  const shared = { kind: 'classification', network, hidden: null, classes: 3, channels: 2 } as const;
  const graph = targetGraph(
    { ...shared, inputType: 'int16', window: { low: -1000, high: 1000 } },
    initialize(net.parameters, seed),
  );
  const metadata = {
    classes: '["none","benign","malignant"]',
    sample_size: '32x24x16',
    size_multiple: '4x4x4',
  };
  return portableModel(graph, { metadata });
}

describe('a Triton model repository', () => {
  const repository = temporaryFolder();

  test('has a configuration that its schema reads, with a warm-up and the names of classes', () => {
    const folder = writeTriton(repository, 'classifier', model(1));
    expect(readConfig(folder)).toEqual({
      name: 'classifier',
      backend: 'onnxruntime',
      max_batch_size: 8,
      input: [{ name: 'image', data_type: 'TYPE_INT16', dims: [2, -1, -1, -1] }],
      output: [{ name: 'probabilities', data_type: 'TYPE_FP32', dims: [3], label_filename: 'classes.txt' }],
      dynamic_batching: { max_queue_delay_microseconds: 2000 },
      model_warmup: [
        {
          name: 'one image of the size of training',
          batch_size: 1,
          inputs: { image: { data_type: 'TYPE_INT16', dims: [2, 16, 24, 32], random_data: true } },
        },
      ],
    });
    expect(readFileSync(join(folder, 'classes.txt'), 'utf8')).toBe('none\nbenign\nmalignant\n');
    expect(readFileSync(join(folder, '1/model.onnx'))).toEqual(Buffer.from(model(1)));
  });

  test('keeps a model that is there, and takes another as its next version', () => {
    const folder = writeTriton(repository, 'classifier', model(1));
    expect(existsSync(join(folder, '2'))).toBe(false);
    writeTriton(repository, 'classifier', model(2));
    expect(readFileSync(join(folder, '1/model.onnx'))).toEqual(Buffer.from(model(1)));
    expect(readFileSync(join(folder, '2/model.onnx'))).toEqual(Buffer.from(model(2)));
  });

  test('does not join images for a model that takes a fixed number of them, and labels the output that is asked for', () => {
    const g = new GraphBuilder('fixed');
    const image = g.input('the "image"', 'float16', [2, 1, 8, 'W']);
    const logits = g.add('ReduceMean', [image, g.integers([2, 3])], { keepdims: 0 });
    g.output('probabilities', g.add('Sigmoid', [logits]));
    g.output('logits', logits);
    const fixed = encodeModel(
      toModel(g.build(), { metadata: { sample_size: '16x8x1', classes: '["nodule"]' } }),
    );
    expect(readConfig(writeTriton(temporaryFolder(), 'classifier', fixed, 'logits'))).toEqual({
      name: 'classifier',
      backend: 'onnxruntime',
      input: [{ name: 'the "image"', data_type: 'TYPE_FP16', dims: [2, 1, 8, -1] }],
      output: [
        { name: 'probabilities', data_type: 'TYPE_FP16', dims: [2, 1] },
        { name: 'logits', data_type: 'TYPE_FP16', dims: [2, 1], label_filename: 'classes.txt' },
      ],
      model_warmup: [
        {
          name: 'one image of the size of training',
          batch_size: 1,
          inputs: { 'the "image"': { data_type: 'TYPE_FP16', dims: [2, 1, 8, 16], random_data: true } },
        },
      ],
    });
  });

  test('has no labels for what is no classifier', () => {
    const g = new GraphBuilder('encoder');
    const hu = g.input('hu', 'float32', ['N', 'D', 'H', 'W']);
    g.output('features', g.add('ReduceMean', [hu, g.integers([2, 3])], { keepdims: 0 }));
    const encoder = encodeModel(toModel(g.build(), { metadata: { tile_size: '32x32x16' } }));
    const config = readConfig(writeTriton(repository, 'encoder', encoder));
    expect(config).toMatchObject({
      input: [{ name: 'hu', data_type: 'TYPE_FP32', dims: [-1, -1, -1] }],
      output: [{ name: 'features', data_type: 'TYPE_FP32', dims: [-1] }],
    });
    expect(existsSync(join(repository, 'encoder/classes.txt'))).toBe(false);
  });
});
