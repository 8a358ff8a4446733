/**
 * t-SNE in two dimensions. Only nearest neighbours attract each other (van der Maaten 2014); all pairs repel each other,
 * exactly: a tree of cells would save half of the time at 2,000 points, for worse maps. Time grows with the square of the
 * number of points, memory with the number itself.
 */

const MOST_PERPLEXITY = 30;
/** Steps with exaggerated attraction, and all steps; factor and counts as openTSNE has them. */
const EXAGGERATED_STEPS = 250;
export const TSNE_STEPS = 750;
const EXAGGERATION = 12;
/**
 * Exaggeration ends early when an axis of the map is so much shorter than at first: points without groups draw together until their
 * places are equal to the last digit, which nothing would part again.
 */
const SHRUNK = 1e-6;
/** The learning rate is points over exaggeration (Belkina et al. 2019); maps of few points tremble where it is higher than this. */
const LEAST_RATE = 40;
/** Standard deviation of the first map along its longer axis (van der Maaten & Hinton 2008). */
const START_DEVIATION = 1e-4;

/** How much each point wants to be near its neighbours, the other way round too: half of the symmetric affinity. */
interface Attraction {
  /** Neighbours of a point; those of point i begin at i · count. */
  readonly count: number;
  readonly neighbours: Uint32Array;
  /** Sum to 1/2. */
  readonly weights: Float64Array;
}

/**
 * t-SNE (van der Maaten & Hinton 2008), perplexity 30, from the first two columns: nothing is random, and where these are
 * principal components, distances between groups mean more than from a random start (Kobak & Linderman 2021).
 * @param points few columns, such as principal components
 * @param onProgress after each of {@link TSNE_STEPS} steps
 * @returns x and y of each point
 */
export function tsne(
  points: readonly (readonly number[])[],
  onProgress?: (done: number) => void,
): [x: number, y: number][] {
  const n = points.length;
  const attraction = attractionOf(points);
  const map = startOf(points);
  const gradient = new Float64Array(2 * n);
  const velocity = new Float64Array(2 * n);
  const gains = new Float64Array(2 * n).fill(1);
  const rate = Math.max(n / EXAGGERATION, LEAST_RATE);
  const least = extentOf(map).map((length) => SHRUNK * length);
  let early = true;
  for (let step = 1; step <= TSNE_STEPS; step++) {
    early &&= step <= EXAGGERATED_STEPS && extentOf(map).every((length, axis) => length >= least[axis]!);
    gradient.fill(0);
    repel(map, gradient);
    attract(map, attraction, early ? EXAGGERATION : 1, gradient);
    const momentum = early ? 0.5 : 0.8;
    for (let i = 0; i < 2 * n; i++) {
      const onward = gradient[i]! * velocity[i]! < 0;
      gains[i] = Math.max(0.01, onward ? gains[i]! + 0.2 : gains[i]! * 0.8);
      velocity[i] = momentum * velocity[i]! - rate * gains[i]! * gradient[i]!;
      map[i]! += velocity[i]!;
    }
    onProgress?.(step);
  }
  return Array.from({ length: n }, (_, i) => [map[2 * i]!, map[2 * i + 1]!]);
}

/** The first two columns, made small. */
function startOf(points: readonly (readonly number[])[]): Float64Array {
  const deviation = Math.sqrt(points.reduce((sum, [x]) => sum + x! * x!, 0) / points.length) || 1;
  return Float64Array.from(
    points.flatMap(([x, y = 0]) => [x!, y]),
    (v) => (v * START_DEVIATION) / deviation,
  );
}

/** Length of the map along x and along y. */
function extentOf(map: Float64Array): [x: number, y: number] {
  const [low, high] = [
    [map[0]!, map[1]!],
    [map[0]!, map[1]!],
  ];
  for (let i = 2; i < map.length; i++) {
    const axis = i % 2;
    low[axis] = Math.min(low[axis]!, map[i]!);
    high[axis] = Math.max(high[axis]!, map[i]!);
  }
  return [high[0]! - low[0]!, high[1]! - low[1]!];
}

/** Adds −Σ w² (y − y′) / Σ w, with w = 1 / (1 + |y − y′|²) and the sum below over all pairs: what drives points apart. */
function repel(map: Float64Array, gradient: Float64Array): void {
  const end = map.length;
  let sum = 0;
  for (let i = 0; i < end; i += 2) {
    const x = map[i]!;
    const y = map[i + 1]!;
    let gx = 0;
    let gy = 0;
    // Each pair is met once.
    for (let j = i + 2; j < end; j += 2) {
      const dx = x - map[j]!;
      const dy = y - map[j + 1]!;
      const w = 1 / (1 + dx * dx + dy * dy);
      sum += 2 * w;
      const fx = w * w * dx;
      const fy = w * w * dy;
      gx += fx;
      gy += fy;
      gradient[j]! += fx;
      gradient[j + 1]! += fy;
    }
    gradient[i]! -= gx;
    gradient[i + 1]! -= gy;
  }
  for (let i = 0; i < end; i++) gradient[i]! /= sum;
}

/** Adds Σ p w (y − y′), what draws neighbours together. */
function attract(
  map: Float64Array,
  { count, neighbours, weights }: Attraction,
  factor: number,
  gradient: Float64Array,
): void {
  for (let i = 0, e = 0; i < map.length; i += 2) {
    const x = map[i]!;
    const y = map[i + 1]!;
    let gx = 0;
    let gy = 0;
    for (const end = e + count; e < end; e++) {
      const j = 2 * neighbours[e]!;
      const dx = x - map[j]!;
      const dy = y - map[j + 1]!;
      const f = (factor * weights[e]!) / (1 + dx * dx + dy * dy);
      const fx = f * dx;
      const fy = f * dy;
      gx += fx;
      gy += fy;
      gradient[j]! -= fx;
      gradient[j + 1]! -= fy;
    }
    gradient[i]! += gx;
    gradient[i + 1]! += gy;
  }
}

/** Affinities to the 3 · perplexity nearest neighbours, as in van der Maaten 2014. */
function attractionOf(points: readonly (readonly number[])[]): Attraction {
  const n = points.length;
  const perplexity = Math.min(MOST_PERPLEXITY, Math.max(2, Math.floor((n - 1) / 3)));
  const count = Math.min(n - 1, 3 * perplexity);
  const neighbours = new Uint32Array(n * count);
  const weights = new Float64Array(n * count);
  const distances = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) distances[j] = squaredDistance(points[i]!, points[j]!);
    distances[i] = Number.POSITIVE_INFINITY;
    const nearest = smallest(distances, count);
    neighbours.set(nearest, i * count);
    const own = gaussian(
      nearest.map((j) => distances[j]!),
      Math.log(perplexity),
    );
    weights.set(
      own.map((p) => p / (2 * n)),
      i * count,
    );
  }
  return { count, neighbours, weights };
}

function squaredDistance(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

/** Indices of the `count` smallest values; of equal ones the first. */
function smallest(values: Float64Array, count: number): number[] {
  const limit = values.toSorted()[count - 1]!;
  const below: number[] = [];
  const equal: number[] = [];
  values.forEach((value, i) => {
    if (value < limit) below.push(i);
    else if (value === limit) equal.push(i);
  });
  return [...below, ...equal.slice(0, count - below.length)];
}

/** Shares that fall with the distance as a normal distribution does, as wide as gives them this entropy. */
function gaussian(squaredDistances: readonly number[], entropy: number): number[] {
  // Only differences matter, and the nearest never underflows.
  const nearest = Math.min(...squaredDistances);
  const distances = squaredDistances.map((d) => d - nearest);
  let [precision, low, high] = [1, 0, Number.POSITIVE_INFINITY];
  for (let i = 0; ; i++) {
    const shares = distances.map((d) => Math.exp(-precision * d));
    const sum = shares.reduce((a, b) => a + b);
    const mean = shares.reduce((total, share, j) => total + share * distances[j]!, 0) / sum;
    const excess = Math.log(sum) + precision * mean - entropy;
    if (Math.abs(excess) < 1e-5 || i === 100) return shares.map((share) => share / sum);
    if (excess > 0) low = precision;
    else high = precision;
    precision = high === Number.POSITIVE_INFINITY ? precision * 2 : (low + high) / 2;
  }
}
