/** What the model card of an encoder of this package says beyond that of any export: its data, their licences, and whom to credit. */
import type { TiledScan } from '../src/data/store/manifest.js';
import type { TileStore } from '../src/data/store/tiles.js';
import { UserError } from '../src/errors.js';
import { COLLECTIONS, type Collection } from './sources.js';

/** @throws UserError for a scan whose licence is not known here */
function collectionOf({ id }: TiledScan): Collection {
  const found = COLLECTIONS.find(({ scans }) => Object.hasOwn(scans, id));
  if (found) return found;
  throw new UserError('data', {
    what: 'an encoder trained on this scan cannot be published: its licence is not known',
    where: id,
    fix: 'check the licence, and add its collection to models/sources.ts',
  });
}

const scanRow = (scan: TiledScan & { readonly split: string }): string => {
  const { name, license, scans } = collectionOf(scan);
  const spacing = scan.spacing.map((mm) => mm.toFixed(2)).join('×');
  return `| ${name}, ${scans[scan.id]} | ${license} | ${scan.size.join('×')} | ${spacing} | ${scan.tiles.length} | ${scan.split} |`;
};

/** @param mse of a network that always answers with the mean of the training wholes, on the wholes that the network was validated on */
export function dataSection({ manifest, train, validation }: TileStore, mse: number): string {
  const { scans, options } = manifest;
  const used = COLLECTIONS.filter((collection) => scans.some((scan) => collectionOf(scan) === collection));
  const of = (split: string) => {
    const count = scans.filter((scan) => scan.split === split).length;
    return count === 1 ? 'one image' : `${count} images`;
  };
  const [x, y, z] = manifest.size;
  return `
## Data

${scans.length} images of CT: ${train.length} tiles of ${of('train')} for training, and ${validation.length} tiles of ${of('validation')} for validation, by which the best step was chosen.
Always answering with the mean of the training wholes would have a validation MSE of ${mse.toPrecision(4)}. No labels were used.

| scan | licence | voxels (x×y×z) | spacing (mm) | tiles | split |
|---|---|---|---|---|---|
${scans.map(scanRow).join('\n')}

Tiles of ${x}×${y}×${z} voxels were cut by \`p2w prepare --size ${x}x${y}x${z} --reject ${options.reject}\`.
So few images do not stand for the variety of scanners, protocols and patients. Whether the encoder helps with a task must be tested with that task.

## Licence and attribution

The weights are under [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/). Whoever passes them on names this package and the data that
they were made from. The scans themselves are not part of the package; they were converted to NIfTI and cut into tiles.

${used.map(({ name, license, licenseUrl, citation }) => `- ${name} ([${license}](${licenseUrl})): ${citation}.`).join('\n')}
- The Cancer Imaging Archive, which holds all of them but TotalSegmentator: Clark, K., Vendt, B., Smith, K., Freymann, J., Kirby, J., Koppel, P., Moore, S., Phillips, S., Maffitt, D., Pringle, M., Tarbox, L., & Prior, F. (2013). The Cancer Imaging Archive (TCIA): Maintaining and Operating a Public Information Repository. Journal of Digital Imaging, 26(6), 1045–1057. https://doi.org/10.1007/s10278-013-9622-7.
`;
}
