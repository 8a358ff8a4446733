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
    task: 'The network is shown one part of a piece of a scan, enlarged, and has to redraw the whole piece.',
    pictures:
      'The network is given only the part, enlarged to the size of the whole, and must redraw the whole it was cut from.',
    input: 'Part',
    source:
      'R. Feng, Z. Zhou, M. B. Gotway, J. Liang, “Parts2Whole: Self-supervised Contrastive Learning via Reconstruction”, 2020. The authors state that the content of their paper is covered by patents pending.',
  },
  genesis: {
    task: 'The network is shown a piece of a scan that was corrupted (voxels shuffled, intensities changed, regions replaced by noise) and has to restore it.',
    pictures:
      'The network is given only the corrupted image, and must restore the whole. Flips are no corruption: the whole is flipped too.',
    input: 'Corrupted',
    source:
      'Z. Zhou, V. Sodha, M. M. Rahman Siddiquee, R. Feng, N. Tajbakhsh, M. B. Gotway, J. Liang, “Models Genesis: Generic Autodidactic Models for 3D Medical Image Analysis”, 2019.',
  },
};
