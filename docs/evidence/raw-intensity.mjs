// Writes raw-intensity.onnx, an "encoder" that has learnt nothing: the means of 4×4×4 voxels of a crop of 32×32×16, 256 numbers.
// node docs/evidence/raw-intensity.mjs
import { writeFileSync } from 'node:fs';
import { encodeModel, GraphBuilder, lower, plainForms, toModel } from 'parts2whole/autodiff';

const g = new GraphBuilder('raw_intensity');
const image = g.input('image', 'float32', ['N', 1, 16, 32, 32]);
const blocks = g.reshape(image, [0, 4, 4, 8, 4, 8, 4]);
g.output('features', g.reshape(g.mean(blocks, [2, 4, 6], 0), [0, 256]));
writeFileSync('raw-intensity.onnx', encodeModel(toModel(lower(g.build(), { choose: plainForms }))));
