import type { Engine, Tensors } from './engine.js';

const bytesOf = (tensors: Tensors): number =>
  Object.values(tensors).reduce((sum, { data }) => sum + data.byteLength, 0);

/** An engine, and the bytes of all that its sessions have been fed and have returned: what is copied to a GPU and back. */
export function countedEngine(engine: Engine): { readonly engine: Engine; bytes(): number } {
  let bytes = 0;
  return {
    engine: {
      ...engine,
      async load(model, options) {
        const session = await engine.load(model, options);
        return {
          ...session,
          async run(feeds, into) {
            const results = await session.run(feeds, into);
            bytes += bytesOf(feeds) + bytesOf(results);
            return results;
          },
        };
      },
    },
    bytes: () => bytes,
  };
}
