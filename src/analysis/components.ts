/** Connected components of masks. */
import type { LabelMap } from '../data/scan/volume.js';

/** Which components of a class stay. */
export interface ComponentRule {
  /** Of each class only the largest. */
  readonly largest: boolean;
  /** None that is smaller. */
  readonly leastVoxels: number;
}

/** A list of integers that grows. */
class Integers {
  #values = new Uint32Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) {
      const larger = new Uint32Array(2 * this.length);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.length++] = value;
  }
  get(i: number): number {
    return this.#values[i]!;
  }
  set(i: number, value: number): void {
    this.#values[i] = value;
  }
}

/** Runs of one label along x, by their first voxels and the voxels behind their last, with the component of each as a tree. */
class Runs {
  readonly start = new Integers();
  readonly end = new Integers();
  readonly parent = new Integers();

  add(start: number, end: number): void {
    this.parent.push(this.start.length);
    this.start.push(start);
    this.end.push(end);
  }
  rootOf(run: number): number {
    let root = run;
    for (let above = this.parent.get(root); above !== root; above = this.parent.get(root)) {
      this.parent.set(root, this.parent.get(above));
      root = above;
    }
    return root;
  }
  join(one: number, other: number): void {
    const [a, b] = [this.rootOf(one), this.rootOf(other)];
    this.parent.set(Math.max(a, b), Math.min(a, b));
  }
}

/** Finds the runs of all rows, and joins those of one label that touch, by an edge or a corner too. */
function connectedRuns({ voxels, size: [width, height, depth] }: LabelMap): Runs {
  const runs = new Runs();
  const firstOfRow = new Uint32Array(height * depth + 1);
  for (let z = 0, row = 0; z < depth; z++)
    for (let y = 0; y < height; y++, row++) {
      const begin = row * width;
      for (let x = 0; x < width; ) {
        const label = voxels[begin + x]!;
        const start = x;
        while (x < width && voxels[begin + x] === label) x++;
        if (label !== 0) runs.add(begin + start, begin + x);
      }
      firstOfRow[row + 1] = runs.start.length;
      const rows = [
        ...(y > 0 ? [row - 1] : []),
        ...(z > 0
          ? [-1, 0, 1].filter((dy) => y + dy >= 0 && y + dy < height).map((dy) => row - height + dy)
          : []),
      ];
      for (const other of rows) joinRows(runs, voxels, firstOfRow, width, row, other);
    }
  return runs;
}

function joinRows(
  runs: Runs,
  voxels: Uint8Array,
  firstOfRow: Uint32Array,
  width: number,
  row: number,
  other: number,
): void {
  const shift = (row - other) * width;
  const { start, end } = runs;
  let first = firstOfRow[other]!;
  const last = firstOfRow[other + 1]!;
  for (let a = firstOfRow[row]!; a < firstOfRow[row + 1]!; a++) {
    while (first < last && end.get(first) + shift < start.get(a)) first++;
    for (let b = first; b < last && start.get(b) + shift <= end.get(a); b++)
      if (voxels[start.get(a)] === voxels[start.get(b)]) runs.join(a, b);
  }
}

/**
 * Turns components of a mask into background, in place. Voxels of one label that share a face, an edge or a corner are connected.
 * Memory grows with the rows of the mask that are not empty, not with its voxels.
 * @example
 * keepComponents(mask, { largest: true, leastVoxels: 1 });
 */
export function keepComponents(mask: LabelMap, { largest, leastVoxels }: ComponentRule): void {
  const { voxels } = mask;
  const runs = connectedRuns(mask);
  const sizes = new Float64Array(runs.start.length);
  for (let run = 0; run < sizes.length; run++)
    sizes[runs.rootOf(run)]! += runs.end.get(run) - runs.start.get(run);
  const greatest = new Map<number, number>();
  for (let run = 0; run < sizes.length; run++) {
    const label = voxels[runs.start.get(run)]!;
    if (sizes[run]! > (sizes[greatest.get(label) ?? -1] ?? 0)) greatest.set(label, run);
  }
  for (let run = 0; run < sizes.length; run++) {
    const root = runs.rootOf(run);
    const label = voxels[runs.start.get(run)]!;
    if (sizes[root]! < leastVoxels || (largest && greatest.get(label) !== root))
      voxels.fill(0, runs.start.get(run), runs.end.get(run));
  }
}
