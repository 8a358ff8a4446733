/** The scan in NiiVue, with what lies over it. */
import { MULTIPLANAR_TYPE, Niivue, NVImage, SHOW_RENDER, SLICE_TYPE } from '@niivue/niivue';
import { affineOfGrid } from '../src/data/scan/nifti-orientation.js';
import type { Volume, XYZ } from '../src/data/scan/volume.js';

export type View = 'all' | 'axial' | 'coronal' | 'sagittal' | 'volume';

const VIEWS: Readonly<Record<View, SLICE_TYPE>> = {
  all: SLICE_TYPE.MULTIPLANAR,
  axial: SLICE_TYPE.AXIAL,
  coronal: SLICE_TYPE.CORONAL,
  sagittal: SLICE_TYPE.SAGITTAL,
  volume: SLICE_TYPE.RENDER,
};

/** Values that are shown as black and as white. */
export interface Greys {
  readonly low: number;
  readonly high: number;
}

export type Colour = readonly [red: number, green: number, blue: number];

/** The axes of a plane, across and up or down: 0 is right–left, 1 front–back, 2 feet–head. */
export const PLANE_AXES = { axial: [0, 1], coronal: [0, 2], sagittal: [1, 2] } as const;
export type PlaneName = keyof typeof PLANE_AXES;

/** A plane on the screen. */
export interface Plane {
  readonly name: PlaneName;
  /** Where it is, in pixels of the canvas. */
  readonly area: {
    readonly left: number;
    readonly top: number;
    readonly width: number;
    readonly height: number;
  };
  /** Pixels of the canvas at a place. @param at shares of the scan along left, posterior, superior */
  toCanvas(at: XYZ): readonly [number, number];
  /** The place at pixels of the canvas, also of those beside the plane: then it lies beside the scan. */
  toScan(x: number, y: number): XYZ;
}

/** A mask that is shown. */
export interface Mask {
  readonly labels: Uint8Array;
  readonly voxelMm3: number;
}

/** A scan as the viewer has read it. */
export type ViewerImage = NVImage;

export interface Viewer {
  /** Takes a scan, and shows nothing of it yet. @throws Error when NiiVue cannot */
  read(name: string, scan: Volume): Promise<ViewerImage>;
  /** Shows a scan in place of the one before and all that lies over that. */
  show(scan: ViewerImage): void;
  setView(view: View): void;
  /** Null is what the scan itself suggests. */
  setGreys(greys: Greys | null): void;
  /**
   * Puts an image over the scan, in place of one of that name.
   * @param greys null for those of the scan
   * @throws what `signal` says when it is too late for it
   */
  overlay(
    name: string,
    image: Volume,
    look: { readonly greys: Greys | null; readonly opacity: number },
    signal: AbortSignal,
  ): Promise<void>;
  /** The same of a mask, in which 0 is nothing. @param colours of labels, from 1 */
  overlayMask(
    name: string,
    nifti: Uint8Array,
    look: { readonly colours: readonly Colour[]; readonly opacity: number },
    signal: AbortSignal,
  ): Promise<Mask>;
  setOpacity(name: string, opacity: number): void;
  remove(name: string): void;
  /** Moves the crosshair by voxels along left, posterior, superior. */
  step(by: XYZ): void;
  /** The crosshair, in shares of the scan along left, posterior, superior. */
  crosshair(): XYZ;
  /** Moves the crosshair to a place in mm, LPS. */
  goTo(place: XYZ): void;
  /** The planes that are shown now. */
  planes(): Plane[];
  readonly canvas: HTMLCanvasElement;
}

/** NiiVue's shares of a scan run towards right, front and head. */
const flipped = ([x, y, z]: ArrayLike<number> & Iterable<number>): XYZ => [1 - x!, 1 - y!, z!];

const PLANE_NAMES: Readonly<Record<number, PlaneName>> = {
  [SLICE_TYPE.AXIAL]: 'axial',
  [SLICE_TYPE.CORONAL]: 'coronal',
  [SLICE_TYPE.SAGITTAL]: 'sagittal',
};

/** Codes of NIfTI. */
const [INT16, FLOAT32] = [4, 16];

/** What NiiVue says of the crosshair. */
interface Location {
  /** Towards right, front and head. */
  readonly mm: ArrayLike<number>;
  readonly values: readonly { readonly value: number }[];
}

const DIRECTIONS = ['RL', 'AP', 'SI'] as const;

/** HU and the like to the integer, what is small to three digits. */
const valueText = (value: number): string =>
  (Math.abs(value) < 100 ? Number(value.toPrecision(3)) : Math.round(value))
    .toLocaleString('en', { maximumSignificantDigits: 21 })
    .replace('-', '−');

/** Such as `R 12 · A 3 · S 140 mm: −820`. */
function placeText({ mm, values: [scan] }: Location): string {
  const places = DIRECTIONS.map((names, i) => `${names[mm[i]! < 0 ? 1 : 0]} ${Math.abs(Math.round(mm[i]!))}`);
  const value = scan ? `: ${valueText(scan.value)}` : '';
  return `${places.join(' · ')} mm${value}`;
}

/** A file of an image, for NiiVue, which reads those of others in ways of its own: units, two geometries in one header, infinite values. */
export function niftiOf(name: string, { voxels, ...grid }: Volume): File {
  const affine = [...affineOfGrid(grid).flat(), 0, 0, 0, 1];
  const type = voxels instanceof Int16Array ? INT16 : FLOAT32;
  const bytes = NVImage.createNiftiArray([...grid.size], [...grid.spacing], affine, type, voxels);
  return new File([bytes as Uint8Array<ArrayBuffer>], `${name}.nii`);
}

/**
 * Opens a viewer.
 * @param onDraw is called whenever something has been drawn
 * @param onPlace is told what is at the crosshair
 * @throws Error where there is no WebGL 2
 */
export async function openViewer(
  canvas: HTMLCanvasElement,
  onDraw: () => void,
  onPlace: (text: string) => void,
): Promise<Viewer> {
  const nv = new Niivue({
    ...{
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.43, 0.73, 0.94, 0.85],
      crosshairWidth: 0.5,
      crosshairGap: 6,
    },
    ...{ isColorbar: false, isOrientCube: false, dragAndDropEnabled: false, show3Dcrosshair: true },
    ...{ multiplanarLayout: MULTIPLANAR_TYPE.GRID, multiplanarShowRender: SHOW_RENDER.ALWAYS, tileMargin: 2 },
    ...{
      multiplanarEqualSize: false,
      isSliceMM: false,
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      sliceType: SLICE_TYPE.MULTIPLANAR,
      logLevel: 'silent',
    },
    // Ours are other keys.
    ...{ viewModeHotKey: '', clipPlaneHotKey: '', cycleClipPlaneHotKey: '', loadingText: '' },
    ...{ fontMinPx: 11, fontColor: [0.64, 0.68, 0.72, 1], selectionBoxColor: [1, 1, 1, 0.4] },
  });
  const draw = nv.drawScene.bind(nv);
  nv.drawScene = () => {
    const drawn = draw();
    onDraw();
    return drawn;
  };
  nv.onLocationChange = (location) => onPlace(placeText(location as Location));
  await nv.attachToCanvas(canvas);
  const names = new Map<string, NVImage>();
  let suggested: Greys = { low: 0, high: 1 };
  let chosen: Greys | null = null;
  /** Overlays with the grey levels of the scan. */
  const likeScan = new Set<NVImage>();
  const setRange = (image: NVImage, { low, high }: Greys): void => {
    image.cal_min = low;
    image.cal_max = high;
  };

  const load = (file: File, options: object): Promise<NVImage> =>
    NVImage.loadFromFile({ file, name: file.name, ...options });
  const remove = (name: string): void => {
    const image = names.get(name);
    if (!image) return;
    nv.removeVolume(image);
    likeScan.delete(image);
    names.delete(name);
  };
  const add = async (name: string, file: File, options: object, signal: AbortSignal): Promise<NVImage> => {
    const image = await load(file, options);
    signal.throwIfAborted();
    remove(name);
    names.set(name, image);
    nv.addVolume(image);
    return image;
  };
  return {
    canvas,
    read: (name, scan) => load(niftiOf(name, scan), { colormap: 'gray' }),
    show(image) {
      for (const name of [...names.keys()]) remove(name);
      while (nv.volumes.length > 0) nv.removeVolume(nv.volumes[0]!);
      nv.addVolume(image);
      suggested = { low: image.cal_min!, high: image.cal_max! };
      setRange(image, chosen ?? suggested);
      nv.scene.crosshairPos = [0.5, 0.5, 0.5];
      nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
      nv.updateGLVolume();
      nv.createOnLocationChange();
    },
    setView(view) {
      nv.setSliceType(VIEWS[view]);
    },
    setGreys(greys) {
      chosen = greys;
      for (const image of [nv.volumes[0], ...likeScan]) if (image) setRange(image, chosen ?? suggested);
      nv.updateGLVolume();
    },
    async overlay(name, image, { greys, opacity }, signal) {
      const file = niftiOf(name, image);
      const { low, high } = greys ?? chosen ?? suggested;
      const options = { colormap: 'gray', opacity, cal_min: low, cal_max: high };
      const added = await add(name, file, options, signal);
      if (!greys) likeScan.add(added);
    },
    async overlayMask(name, nifti, { colours, opacity }, signal) {
      const file = new File([nifti as Uint8Array<ArrayBuffer>], `${name}.nii.gz`);
      const image = await add(name, file, { opacity }, signal);
      const channel = (i: 0 | 1 | 2) => [0, ...colours.map((colour) => colour[i])];
      const labels = ['', ...colours.map((_, i) => String(i + 1))];
      const A = [0, ...colours.map(() => 255)];
      image.setColormapLabel({
        R: channel(0),
        G: channel(1),
        B: channel(2),
        A,
        I: labels.map((_, i) => i),
        labels,
      });
      nv.updateGLVolume();
      const [, x, y, z] = image.hdr!.pixDims as [number, number, number, number];
      return { labels: image.img as Uint8Array, voxelMm3: Math.abs(x * y * z) };
    },
    setOpacity(name, opacity) {
      const image = names.get(name);
      if (image) nv.setOpacity(nv.getVolumeIndexByID(image.id), opacity);
    },
    remove(name) {
      remove(name);
      nv.updateGLVolume();
    },
    step([left, posterior, superior]) {
      if (nv.volumes.length > 0) nv.moveCrosshairInVox(-left, -posterior, superior);
    },
    crosshair: () => flipped(nv.scene.crosshairPos as unknown as XYZ),
    goTo([left, posterior, superior]) {
      nv.scene.crosshairPos = nv.mm2frac([-left, -posterior, superior]);
      nv.createOnLocationChange();
      nv.drawScene();
    },
    planes() {
      return nv.screenSlices.flatMap((slice): Plane[] => {
        const name = PLANE_NAMES[slice.axCorSag];
        if (!name || nv.volumes.length === 0) return [];
        const [left, top, width, height] = slice.leftTopWidthHeight as [number, number, number, number];
        const [across, up] = PLANE_AXES[name];
        const [leftMm, bottomMm] = slice.leftTopMM as [number, number];
        const [widthMm, heightMm] = slice.fovMM as [number, number];
        return [
          {
            name,
            // A plane that is shown from the other side has a negative width.
            area: { left: Math.min(left, left + width), top, width: Math.abs(width), height },
            toCanvas(at) {
              const mm = nv.frac2mm([...flipped(at)]);
              const x = (mm[across]! - leftMm) / widthMm;
              const y = (mm[up]! - bottomMm) / heightMm;
              return [left + x * width, top + (1 - y) * height];
            },
            toScan(x, y) {
              const mm = nv.frac2mm(nv.scene.crosshairPos);
              mm[across] = leftMm + ((x - left) / width) * widthMm;
              mm[up] = bottomMm + (1 - (y - top) / height) * heightMm;
              return flipped(nv.mm2frac(mm));
            },
          },
        ];
      });
    },
  };
}
