import type { XYZ } from '../data/scan/volume.js';
import type { TubePoint } from './shapes.js';

/** A tree of tubes: each node but the roots hangs on an earlier one. */
export interface Tree {
  readonly points: readonly XYZ[];
  /** Index of the node before each; −1 for a root. */
  readonly parents: readonly number[];
}

/** How much the way to the root counts against the length of a new branch: what makes branches fork forwards. */
const BALANCE = 0.55;

/**
 * Grows a tree from its roots to every target in turn, each joined where its branch plus its share of the way
 * back to the root is shortest: the balanced spanning tree of Cuntz et al. 2010, "One Rule to Grow Them
 * All", PLoS Comput Biol 6(8). Positions in mm.
 * @param step distance of the nodes along a branch, in mm
 */
export function growTree(roots: readonly XYZ[], targets: readonly XYZ[], step: number): Tree {
  const [xs, ys, zs]: [number[], number[], number[]] = [[], [], []];
  const parents: number[] = [];
  const toRoot: number[] = [];
  const extend = (from: number, to: XYZ): void => {
    const start: XYZ = from < 0 ? to : [xs[from]!, ys[from]!, zs[from]!];
    const length = Math.hypot(to[0] - start[0], to[1] - start[1], to[2] - start[2]);
    const pieces = Math.max(1, Math.ceil(length / step));
    let last = from;
    for (let i = 1; i <= pieces; i++) {
      const t = i / pieces;
      xs.push(start[0] + t * (to[0] - start[0]));
      ys.push(start[1] + t * (to[1] - start[1]));
      zs.push(start[2] + t * (to[2] - start[2]));
      parents.push(last);
      toRoot.push((toRoot[last] ?? 0) + length / pieces);
      last = parents.length - 1;
    }
  };
  for (const root of roots) extend(-1, root);
  for (const target of targets) {
    const [x, y, z] = target;
    let [best, cost] = [0, Number.POSITIVE_INFINITY];
    for (let i = 0; i < parents.length; i++) {
      const back = BALANCE * toRoot[i]!;
      if (back >= cost) continue;
      const [dx, dy, dz] = [x - xs[i]!, y - ys[i]!, z - zs[i]!];
      const total = Math.sqrt(dx * dx + dy * dy + dz * dz) + back;
      if (total < cost) [best, cost] = [i, total];
    }
    extend(best, target);
  }
  return { points: xs.map((x, i): XYZ => [x, ys[i]!, zs[i]!]), parents };
}

/**
 * Radii in mm that keep the flow: the parent's to the power 2.7 is the sum of its children's (Murray's law,
 * with the exponent measured in lungs; Huang et al. 1996, J Appl Physiol 81:2123).
 * @param leaf radius at the tips
 */
export function treeRadii({ parents }: Tree, leaf: number): Float64Array {
  const flow = new Float64Array(parents.length);
  for (let i = parents.length - 1; i >= 0; i--) {
    if (flow[i] === 0) flow[i] = 1;
    if (parents[i]! >= 0) flow[parents[i]!]! += flow[i]!;
  }
  return flow.map((tips) => leaf * tips ** (1 / 2.7));
}

/** The pieces of a tree as ends of tubes. Coordinates and radii in mm. */
export function* treeSegments(tree: Tree, radii: Float64Array): Generator<readonly [TubePoint, TubePoint]> {
  for (let i = 0; i < tree.parents.length; i++) {
    const parent = tree.parents[i]!;
    if (parent < 0) continue;
    yield [
      [...tree.points[parent]!, radii[parent]!],
      [...tree.points[i]!, radii[i]!],
    ];
  }
}
