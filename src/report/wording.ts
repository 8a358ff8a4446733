import type { ProxyName } from '../data/proxies/names.js';

/** What a report says of a proxy task. */
export interface Wording {
  /** What the network has to do. */
  readonly task: string;
  /** Above its pictures. */
  readonly pictures: string;
  /** What the network is given. */
  readonly input: string;
  readonly source: string;
}

export const WORDING: Readonly<Record<ProxyName, Wording>> = {
  parts2whole: {
    task: 'The network is shown one part (a crop) of a block of a scan, resized to full size, and has to reconstruct the whole block.',
    pictures:
      'The network is given only the part, resized to the size of the whole, and must reconstruct the whole that it was cropped from.',
    input: 'Part',
    source:
      'R. Feng, Z. Zhou, M. B. Gotway, J. Liang, “Parts2Whole: Self-supervised Contrastive Learning via Reconstruction”, 2020. The authors state that patents are pending on the content of their paper.',
  },
  genesis: {
    task: 'The network is shown a corrupted block of a scan (voxels shuffled, intensities changed, regions replaced by noise) and has to restore it.',
    pictures:
      'The network is given only the corrupted image, and must restore the whole. Flips are not a corruption: the whole is flipped too.',
    input: 'Corrupted',
    source:
      'Z. Zhou, V. Sodha, M. M. Rahman Siddiquee, R. Feng, N. Tajbakhsh, M. B. Gotway, J. Liang, “Models Genesis: Generic Autodidactic Models for 3D Medical Image Analysis”, 2019.',
  },
};
