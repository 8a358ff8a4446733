/** The loss curve. */
export interface Point {
  readonly step: number;
  readonly loss: number;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [760, 260, 52, 36, 10] as const;

/** A step that is 1, 2 or 5 times a power of ten, about five of which make `range`. */
function tick(range: number): number {
  const power = 10 ** Math.floor(Math.log10(range / 5));
  return power * ([1, 2, 5].find((digit) => digit * power >= range / 5) ?? 10);
}

const ticks = (most: number): number[] => {
  const distance = tick(most);
  return Array.from({ length: Math.floor(most / distance) + 1 }, (_, i) => i * distance);
};

/** More cannot be told apart. */
const MOST_POINTS = 400;

/** At most about as many of the points, evenly spread, with the last. */
function some(points: readonly Point[]): readonly Point[] {
  const distance = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => i % distance === 0 || i === points.length - 1);
}

export function drawCurve(
  svg: Element,
  allTraining: readonly Point[],
  allValidation: readonly Point[],
): void {
  const [training, validation] = [some(allTraining), some(allValidation)];
  const points = [...training, ...validation];
  const last = Math.max(2, ...points.map(({ step }) => step));
  const most = Math.max(...points.map(({ loss }) => loss), 1e-6);
  const x = (step: number) => LEFT + ((WIDTH - LEFT - 10) * step) / last;
  const y = (loss: number) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * loss) / most;
  const place = ({ step, loss }: Point) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`;
  const line = (of: readonly Point[], look: string) =>
    `<polyline class="mark ${look}" points="${of.map(place).join(' ')}"/>`;
  const grid = ticks(most).map((loss) => `<path d="M${LEFT} ${y(loss).toFixed(1)}H${WIDTH - 10}"/>`);
  const up = ticks(most).map(
    (loss) => `<text x="${LEFT - 8}" y="${(y(loss) + 4).toFixed(1)}">${Number(loss.toPrecision(3))}</text>`,
  );
  const along = ticks(last)
    .filter(Number.isInteger)
    .map((step) => `<text x="${x(step).toFixed(1)}" y="${HEIGHT - BOTTOM + 16}">${step}</text>`);
  const dots = validation.map(
    ({ step, loss }) =>
      `<circle class="mark first" cx="${x(step).toFixed(1)}" cy="${y(loss).toFixed(1)}" r="3"/>`,
  );
  svg.innerHTML = [
    `<g class="grid">${grid.join('')}</g><g class="up">${up.join('')}</g><g class="across">${along.join('')}</g>`,
    `<text class="axis x" x="${WIDTH - 10}" y="${HEIGHT - 3}">Step</text>`,
    line(training, 'second'),
    line(validation, 'first'),
    ...dots,
  ].join('');
}
