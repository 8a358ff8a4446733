/** The box over the planes of the viewer, with handles to drag. */
import type { XYZ } from '../src/data/scan/volume.js';
import { moved, withFace } from './box.js';
import { makeSvg } from './dom.js';
import type { Box } from './messages.js';
import { PLANE_AXES, type Plane, type PlaneName, type Viewer } from './viewer.js';

export interface BoxOverlay {
  /** Draws a box, and with broken lines the whole around it. */
  draw(box: Box | null, whole: Box | null): void;
}

/** What a handle moves: along each axis of its plane a face, or nothing; without any, the whole box. */
type Grip = readonly ('low' | 'high' | null)[];

const EDGES: readonly Grip[] = [
  ['low', null],
  ['high', null],
  [null, 'low'],
  [null, 'high'],
];
const CORNERS: readonly Grip[] = [
  ['low', 'low'],
  ['low', 'high'],
  ['high', 'low'],
  ['high', 'high'],
];
const ALL: readonly Grip[] = [...EDGES, ...CORNERS, [null, null]];

/** Of the corners and the middle, in CSS pixels; less in a small box. */
const RADIUS = 5;

/** The rectangle of a box in a plane, in pixels of the canvas: two corners. */
function corners(plane: Plane, { low, high }: Box, size: XYZ) {
  const share = (face: XYZ) => face.map((at, i) => at / size[i]!) as unknown as XYZ;
  return { low: plane.toCanvas(share(low)), high: plane.toCanvas(share(high)) };
}

/**
 * Draws into an SVG that covers the viewer's canvas.
 * @param size of the scan in voxels
 * @param onBox is told what becomes of the box while a handle is dragged
 */
export function boxOverlay(
  svg: SVGSVGElement,
  viewer: Viewer,
  size: XYZ,
  onBox: (box: Box) => void,
): BoxOverlay {
  /** Where a handle was taken, and the box then; elements are drawn anew meanwhile. */
  let held: { readonly plane: PlaneName; readonly grip: Grip; readonly box: Box; readonly from: XYZ } | null =
    null;
  let shown: Box | null = null;

  const pixels = () => viewer.canvas.width / viewer.canvas.clientWidth;
  const placeOf = (plane: Plane, event: PointerEvent): XYZ => {
    const { left, top } = viewer.canvas.getBoundingClientRect();
    const at = plane.toScan((event.clientX - left) * pixels(), (event.clientY - top) * pixels());
    return at.map((value, i) => value * size[i]!) as unknown as XYZ;
  };
  svg.onpointermove = (event) => {
    if (!held) return;
    const { grip, box, from } = held;
    const plane = viewer.planes().find(({ name }) => name === held?.plane);
    if (!plane) return;
    const at = placeOf(plane, event);
    const axes = PLANE_AXES[plane.name];
    if (grip.every((face) => face === null)) {
      const by = ([0, 1, 2] as const).map((axis) =>
        axes.includes(axis as never) ? at[axis] - from[axis] : 0,
      );
      return onBox(moved(box, size, by as unknown as XYZ));
    }
    onBox(
      axes.reduce((next, axis, i) => (grip[i] ? withFace(next, size, axis, grip[i], at[axis]) : next), box),
    );
  };
  const release = () => {
    held = null;
  };
  svg.onpointerup = release;
  svg.onpointercancel = release;

  const handle = (
    plane: Plane,
    grip: Grip,
    low: readonly [number, number],
    high: readonly [number, number],
  ): SVGElement => {
    const at = (i: 0 | 1, face: Grip[number]) =>
      face === 'low' ? low[i] : face === 'high' ? high[i] : (low[i] + high[i]) / 2;
    const [x, y] = [at(0, grip[0]!), at(1, grip[1]!)];
    const [x2, y2] = [grip[0] ? x : high[0], grip[1] ? y : high[1]];
    const isEdge = EDGES.includes(grip);
    const made = isEdge
      ? makeSvg('line', { class: 'edge', x1: grip[0] ? x : low[0], y1: grip[1] ? y : low[1], x2, y2 })
      : makeSvg('circle', {
          class: CORNERS.includes(grip) ? 'corner' : 'middle',
          cx: x,
          cy: y,
          r: Math.min(RADIUS * pixels(), Math.abs(high[0] - low[0]) / 5, Math.abs(high[1] - low[1]) / 5),
        });
    made.dataset.plane = plane.name;
    made.dataset.grip = grip.map((face) => face ?? 'all').join(' ');
    made.onpointerdown = (event) => {
      if (!shown) return;
      event.preventDefault();
      svg.setPointerCapture(event.pointerId);
      held = { plane: plane.name, grip, box: shown, from: placeOf(plane, event) };
    };
    return made;
  };
  const rectangle = (
    name: string,
    [x1, y1]: readonly [number, number],
    [x2, y2]: readonly [number, number],
  ) =>
    makeSvg('rect', {
      ...{ class: name, x: Math.min(x1, x2), y: Math.min(y1, y2) },
      ...{ width: Math.abs(x2 - x1), height: Math.abs(y2 - y1) },
    });
  return {
    draw(box, whole) {
      shown = box;
      svg.setAttribute('viewBox', `0 0 ${viewer.canvas.width} ${viewer.canvas.height}`);
      svg.replaceChildren();
      if (!box) return;
      for (const plane of viewer.planes()) {
        // What would lie in the plane beside it is cut off.
        const { left, top, width, height } = plane.area;
        const inner = makeSvg('svg', {
          x: left,
          y: top,
          width,
          height,
          viewBox: `${left} ${top} ${width} ${height}`,
        });
        const { low, high } = corners(plane, box, size);
        if (whole) {
          const around = corners(plane, whole, size);
          inner.append(rectangle('whole', around.low, around.high));
        }
        inner.append(rectangle('box', low, high), ...ALL.map((grip) => handle(plane, grip, low, high)));
        svg.append(inner);
      }
    },
  };
}
