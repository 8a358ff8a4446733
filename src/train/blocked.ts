import { GraphBuilder } from '../../graphs/onnx/builder.js';
import { toModel } from '../../graphs/onnx/model.js';
import { encodeModel } from '../../graphs/onnx/schema.js';
import type { Engine } from '../runtime/engine.js';

const found = new WeakMap<Engine, Promise<number | null>>();

/**
 * Channels in a block of the engine's blocked layout: 16 with AVX-512, 8 with AVX2; `null` where it has none.
 * Found by reordering two columns of sixteen channels, and looking where the second column begins.
 */
export function blockedChannels(engine: Engine): Promise<number | null> {
  const known = found.get(engine) ?? measure(engine);
  found.set(engine, known);
  return known;
}

async function measure(engine: Engine): Promise<number | null> {
  const shape = [1, 16, 1, 2];
  const g = new GraphBuilder('block');
  g.output('y', g.add('ReorderInput', [g.input('x', 'float32', shape)]));
  try {
    const session = await engine.load(encodeModel(toModel(g.build())), { threads: 1 });
    const x = { type: 'float32', shape, data: Float32Array.from({ length: 32 }, (_, i) => i) } as const;
    const { y } = await session.run({ x });
    await session.release();
    const block = Array.from(y!.data as Float32Array).indexOf(1);
    return block > 1 ? block : null;
  } catch {
    return null;
  }
}
