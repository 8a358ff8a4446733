import type { Config } from '../config/pretraining.js';
import { METHODS, type ProxyName } from '../data/proxies/names.js';
import { INTENSITIES } from '../data/scan/normalise.js';
import { inputName } from '../inference/model.js';
import type { PrecisionReport } from '../inference/precision.js';
import type { TrainState } from '../runs/checkpoint.js';
import { checkedSection, float32Note, limitsSection, stepsInWords } from './card-sections.js';

export interface ModelCardFacts {
  readonly what: 'encoder' | 'autoencoder';
  readonly config: Config;
  readonly inputType: 'float32' | 'int16';
  readonly state: TrainState;
  /** That the training tiles are of; null where it is not known. */
  readonly scans: number | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** Of the float32 model, to the training network's features. */
  readonly featureError: number;
  readonly precision: PrecisionReport | null;
  /** Of the model's file. */
  readonly sha256: string;
}

/** What is said of the method's source. */
const NOTICE: Readonly<Record<ProxyName, string>> = {
  parts2whole: ' The paper states that patents are pending on\nits content.',
  genesis: '',
};

/** A line of the table: what the network was given. */
const givenOf = ({ proxy, part }: Config): string =>
  proxy === 'genesis'
    ? '| input | wholes with shuffled voxels, changed intensities, and regions of noise |'
    : `| parts | ${part.scale.map((s) => s.toFixed(4)).join(' … ')} of the whole's volume |`;

/** In words, up to where they are listed. */
function tilesOf({ samples }: TrainState, scans: number | null): string {
  const tiles = samples === null ? 'tiles' : `${samples} tiles`;
  return scans === null ? `${tiles}; their scans are` : `${tiles} of ${scans} scans, which are`;
}

/** The model card that lies beside an exported model, as Markdown. */
export function modelCard({
  what,
  config,
  inputType,
  state,
  scans,
  metadata,
  featureError,
  precision,
  sha256,
}: ModelCardFacts): string {
  const channels = config.network.width * 2 ** (config.network.levels + 1);
  const { unit } = INTENSITIES[config.normalise];
  const [x, y, z] = metadata.size_multiple!.split('x');
  const check = `features within ${featureError.toExponential(1)} (relative) of the training network's`;
  const output =
    what === 'encoder'
      ? `| \`feature_map\` | float32 [N, ${channels}, D/${z}, H/${y}, W/${x}] | after the last ReLU |
| \`features\` | float32 [N, ${channels}] | the feature map averaged over positions |`
      : `| \`reconstruction\` | float32 [N, 1, …] | the whole, in [0, 1], at the resolution that the network was trained on |
| \`features\` | float32 [N, ${channels}] | the bottleneck averaged over positions |`;
  return `# ${what === 'encoder' ? 'Encoder' : 'Autoencoder'} pre-trained by ${METHODS[config.proxy].name}

**For research only. Not a medical device; not for diagnosis.**${NOTICE[config.proxy]}

| input | type and shape | meaning |
|---|---|---|
| \`${inputName(config.normalise)}\` | ${inputType} [N, D, H, W], multiples of ${z}, ${y}, ${x} | ${unit}, x fastest; D = z, H = y, W = x in LPS orientation |

| output | type and shape | meaning |
|---|---|---|
${output}

Preprocessing is ${metadata.preprocessing}. BatchNorm is
folded into the convolutions. It was trained on tiles of ${metadata.tile_size!.replaceAll('x', '×')} voxels (x×y×z) at the spacing of the scans: they are not resampled
to a common one. If a size is not a multiple, the poolings cut off its end.

## Training

| training | |
|---|---|
| method | ${metadata.method} |
| preset | ${config.preset} |
| network | 3D U-Net, width ${config.network.width}, ${config.network.levels} poolings, ${config.network.upsampling} up-sampling, ${config.network.skip ? 'with' : 'no'} skip connections |
${givenOf(config)}
| training data | ${tilesOf(state, scans)} listed in the manifest of the tile store |
| steps | ${stepsInWords(state.step)}, batch ${config.batch} |
| best validation MSE | ${state.best ? `${state.best.validationLoss.toPrecision(4)} at step ${state.best.step}` : 'not validated'} |
| data (SHA-256 of the manifest) | ${state.dataHash} |
| seed | ${config.seed} |
| licence of the weights | ${metadata.license} |
${float32Note(precision)}
${checkedSection(`${what}.onnx`, { sha256, precision, check })}
${limitsSection(false)}
## Weights

\`weights.safetensors\` holds the same network before folding${precision?.precision === 'float16-weights' ? ', its kernels in float16' : ''}. Its metadata entry \`models_genesis_names\` maps every
tensor to its name in the PyTorch code of Models Genesis.
`;
}
