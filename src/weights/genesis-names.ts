/** Names of the same tensors in the PyTorch U-Net of Models Genesis: its users can load our weights, and we theirs. */

/** Its blocks are called by the channels of their first convolution in the full-size network. */
const CHANNELS = [64, 128, 256, 512];

/**
 * `encoder.1.conv2.weight` → `down_tr128.ops.1.conv1.weight`; shapes are the same.
 * @returns undefined for a network with more levels than theirs
 */
export function genesisName(name: string): string | undefined {
  const head = /^head\.(weight|bias)$/.exec(name);
  if (head) return `out_tr.final_conv.${head[1]}`;
  const parts = /^(encoder|decoder)\.(\d+)\.(conv|norm|up)(\d?)\.(\w+)$/.exec(name);
  const channels = CHANNELS[Number(parts?.[2])];
  if (!parts || channels === undefined) return undefined;
  const [, side, , kind, index, tensor] = parts;
  const block = `${side === 'encoder' ? 'down' : 'up'}_tr${channels}`;
  if (kind === 'up') return `${block}.up_conv.${tensor}`;
  return `${block}.ops.${Number(index) - 1}.${kind === 'conv' ? 'conv1' : 'bn1'}.${tensor}`;
}

/** The reverse of {@link genesisName}. @returns undefined for a name that is not theirs */
export function fromGenesisName(name: string): string | undefined {
  const head = /^out_tr\.final_conv\.(weight|bias)$/.exec(name);
  if (head) return `head.${head[1]}`;
  const parts = /^(down|up)_tr(\d+)\.(?:(up_conv)|ops\.([01])\.(conv1|bn1))\.(\w+)$/.exec(name);
  const level = CHANNELS.indexOf(Number(parts?.[2]));
  if (!parts || level < 0) return undefined;
  const [, side, , up, index, kind, tensor] = parts;
  const block = `${side === 'down' ? 'encoder' : 'decoder'}.${level}`;
  if (up) return `${block}.up.${tensor}`;
  return `${block}.${kind === 'conv1' ? 'conv' : 'norm'}${Number(index) + 1}.${tensor}`;
}
