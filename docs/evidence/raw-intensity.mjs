// Writes an "encoder" that has learnt nothing, the means of blocks of 4×4×4 voxels: for crops of 32×32×16, or of the size that is given.
// node docs/evidence/raw-intensity.mjs [32x32x32]
import { writeFileSync } from 'node:fs';
import { encodeModel, GraphBuilder, lower, plainForms, toModel } from 'parts2whole/autodiff';

const [, , size] = process.argv;
const [x, y, z] = (size ?? '32x32x16').split('x').map(Number);
const g = new GraphBuilder('raw_intensity');
const image = g.input('image', 'float32', ['N', 1, z, y, x]);
const blocks = g.reshape(image, [0, z / 4, 4, y / 4, 4, x / 4, 4]);
g.output('features', g.reshape(g.mean(blocks, [2, 4, 6], 0), [0, (x * y * z) / 64]));
const name = size ? `raw-intensity-${size}` : 'raw-intensity';
writeFileSync(`${name}.onnx`, encodeModel(toModel(lower(g.build(), { choose: plainForms }))));
