/** The loss curve, drawn anew for every step. */
export interface Point {
  readonly step: number;
  readonly loss: number;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [640, 240, 56, 28, 10] as const;

/** A step that is 1, 2 or 5 times a power of ten, about five of which make `range`. */
function tick(range: number): number {
  const power = 10 ** Math.floor(Math.log10(range / 5));
  return power * ([1, 2, 5].find((digit) => digit * power >= range / 5) ?? 10);
}

const ticks = (most: number): number[] => {
  const distance = tick(most);
  return Array.from({ length: Math.floor(most / distance) + 1 }, (_, i) => i * distance);
};

export function drawCurve(svg: Element, training: readonly Point[], validation: readonly Point[]): void {
  const points = [...training, ...validation];
  if (points.length === 0) {
    svg.innerHTML = '';
    return;
  }
  const last = Math.max(2, ...points.map(({ step }) => step));
  const most = Math.max(...points.map(({ loss }) => loss), 1e-6);
  const x = (step: number) => LEFT + ((WIDTH - LEFT - 10) * step) / last;
  const y = (loss: number) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * loss) / most;
  const line = (of: readonly Point[], colour: string, width: number) =>
    `<polyline fill="none" stroke="${colour}" stroke-width="${width}" points="${of.map(({ step, loss }) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`).join(' ')}"/>`;
  const across = ticks(most).map(
    (loss) =>
      `<line x1="${LEFT}" x2="${WIDTH - 10}" y1="${y(loss)}" y2="${y(loss)}" stroke="#e3e7ec"/>` +
      `<text x="${LEFT - 6}" y="${y(loss) + 4}" text-anchor="end">${Number(loss.toPrecision(3))}</text>`,
  );
  const along = ticks(last)
    .filter(Number.isInteger)
    .map((step) => `<text x="${x(step)}" y="${HEIGHT - 8}" text-anchor="middle">${step}</text>`);
  const dots = validation.map(
    ({ step, loss }) => `<circle cx="${x(step)}" cy="${y(loss)}" r="3" fill="#b4501e"/>`,
  );
  svg.innerHTML = [
    ...across,
    ...along,
    line(training, '#6f9bc8', 1.5),
    line(validation, '#b4501e', 2),
    ...dots,
  ].join('');
}
