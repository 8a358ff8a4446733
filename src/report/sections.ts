import type { Axis } from './axes.js';
import { histogram, lineChart, type Reference, scatter } from './charts.js';
import { heldRates, smooth, thin } from './curves.js';
import type { ReportData } from './data.js';
import { type Content, type Html, html } from './html.js';
import { percent, probability, shortNumber, wholeNumber } from './numbers.js';

const STEP: Axis = { label: 'Training step', scale: 'linear', include: [0] };
/** Checkpoints are spaced evenly on it; the untrained network, of step 0, is at the left end. */
const CHECKPOINT: Axis = { label: 'Training step (log)', scale: 'log' };
const MSE: Axis = { label: 'Mean squared error (log)', scale: 'log' };

/** More points than this cannot be told apart in a chart. */
const MOST_POINTS = 500;

/** Errors and learning rate over the training. */
export function trainingSection(data: ReportData): Html {
  const losses = data.training
    .filter(({ loss }) => Number.isFinite(loss))
    .map(({ step, loss }) => [step, loss] as const);
  const smoothed = smooth(losses, losses.length / 40);
  const baseline: Reference[] =
    data.meanWholeMse === null
      ? []
      : [{ name: `mean whole, ${shortNumber(data.meanWholeMse)}`, y: data.meanWholeMse }];
  const loss = lineChart({
    title: 'Training and validation error by training step',
    x: STEP,
    y: MSE,
    series: [
      ...(losses.length === 0
        ? []
        : ([
            { name: 'training, each step', look: 'faint', points: thin(losses, MOST_POINTS) },
            { name: 'training, smoothed', look: 'second', points: thin(smoothed, MOST_POINTS) },
          ] as const)),
      { name: 'validation', look: 'first', points: data.validation.map(({ step, mse }) => [step, mse]) },
    ],
    references: baseline,
  });
  const rate = lineChart({
    title: 'Learning rate by training step',
    x: STEP,
    y: { label: 'Learning rate (log)', scale: 'log' },
    series: [
      {
        name: 'learning rate',
        look: 'first',
        points: heldRates(data.learningRates, MOST_POINTS),
        steps: true,
      },
    ],
  });
  return html`<section><h2>Training</h2><div class="pair">
${figure('Reconstruction error', loss, `Lower is better. ${againstMeanWhole(data)}`)}
${figure('Learning rate', rate, 'The step size of the optimiser, at every step. Smaller values let the network settle.')}
</div></section>`;
}

function againstMeanWhole({ validation, meanWholeMse }: ReportData): string {
  const last = validation.at(-1);
  if (!last) return 'There has been no validation yet.';
  if (meanWholeMse === null) return `The last validation error is ${shortNumber(last.mse)}.`;
  const meaning = 'The dashed line is the error of always predicting the average of all wholes.';
  if (!(last.mse < meanWholeMse))
    return `${meaning} The network is not better than that yet: it has not learnt to use its input.`;
  return `${meaning} The network's last error, ${shortNumber(last.mse)}, is ${shortNumber(meanWholeMse / last.mse)} times smaller, so it does use its input.`;
}

/** Cosine similarity of pairs before and after. */
export function cosineSection({ cosine }: ReportData): Html | null {
  if (!cosine) return null;
  const panel = (title: string, pairs: typeof cosine.after) => {
    const chart = histogram({
      title: `Cosine similarity of pairs of parts, ${title}`,
      x: { label: 'Cosine similarity of two parts', scale: 'linear' },
      groups: [
        { name: 'same whole', look: 'first', values: pairs.positive },
        { name: 'different wholes', look: 'second', values: pairs.negative },
      ],
      bins: 50,
    });
    const numbers = `AUC ${pairs.auc.toFixed(3)}, d′ ${pairs.dPrime.toFixed(2)}, overlap ${percent(pairs.overlap)}.`;
    return figure(title, chart, numbers);
  };
  return html`<section><h2>Are parts of the same whole similar to the network?</h2>
<p>Each pair consists of two parts, of the same whole or of different wholes. Their similarity is that of the
network's features. The further apart the two distributions are, the better the features distinguish wholes.
The AUC is the probability that a pair from the same whole is more similar: 0.5 is chance, 1 is perfect.
The horizontal axes may differ, because untrained features are nearly all alike.</p>
<div class="pair">${panel(cosine.beforeLabel, cosine.before)}${panel(cosine.afterLabel, cosine.after)}</div></section>`;
}

/** What each checkpoint's features are worth. */
export function contrastSection(data: ReportData): Html | null {
  const { checkpoints, correlation, contrastiveBounds: bounds } = data;
  if (checkpoints.length === 0) return null;
  const floor: Reference[] = bounds
    ? [{ name: `minimum after a ReLU, ${bounds.separated.toFixed(2)}`, y: bounds.separated }]
    : [];
  const worst = bounds ? ` If all features were equal, it would be ${bounds.collapsed.toFixed(2)}.` : '';
  const overSteps = (
    name: string,
    y: Axis,
    value: (checkpoint: (typeof checkpoints)[number]) => number,
    references: Reference[] = [],
  ) =>
    lineChart({
      title: `${name} at every checkpoint`,
      x: CHECKPOINT,
      y,
      series: [{ name, look: 'first', points: checkpoints.map((c) => [Math.max(c.step, 1), value(c)]) }],
      references,
    });
  const against = scatter({
    title: 'Contrastive loss against validation error, one point per checkpoint',
    x: MSE,
    y: { label: 'Contrastive loss', scale: 'linear' },
    points: checkpoints.map((c) => ({
      at: [c.validationMse, c.contrastiveLoss],
      name: `step ${wholeNumber(c.step)}`,
    })),
  });
  const together = correlation
    ? `r = ${correlation.r.toFixed(2)} over ${correlation.n} checkpoints, ${probability(correlation.p)}. Checkpoints of one run are not independent, so p is only indicative.`
    : 'There are too few different checkpoints to compute a correlation.';
  return html`<section><h2>Does reconstruction teach the network to distinguish wholes?</h2>
<p>${
    data.isContrastive
      ? 'The network was trained on the contrastive loss too, so that its fall says nothing of reconstruction alone.'
      : `The network was not trained on the contrastive loss. If this loss falls with the reconstruction error, the network learns to
distinguish wholes just by reconstructing them.`
  }</p><div class="pair">
${figure(
  'Contrastive loss',
  overSteps(
    'contrastive loss',
    { label: 'Contrastive loss', scale: 'linear' },
    (c) => c.contrastiveLoss,
    floor,
  ),
  `Lower is better: parts are closer to parts of the same whole than to parts of other wholes.${worst}`,
)}
${figure('Contrastive loss and reconstruction error', against, `Each point is a checkpoint; later ones are more opaque. ${together}`)}
${figure(
  'Nearest neighbour',
  overSteps(
    '1-NN accuracy',
    { label: 'Share of parts', scale: 'linear', include: [0, 1], unit: '%' },
    (c) => c.nearestNeighbour,
  ),
  'How often the most similar part comes from the same whole. This is usually an overlapping part, which random convolutions find too.',
)}
${figure(
  'Cosine AUC',
  overSteps('cosine AUC', { label: 'AUC', scale: 'linear', include: [0.5, 1] }, (c) => c.cosineAuc),
  'The probability that two parts of the same whole are more similar than two parts of different wholes; 0.5 is chance.',
)}
</div></section>`;
}

/** A titled drawing with its reading in plain words. */
export function figure(title: string, drawing: Content, reading: Content): Html {
  return html`<figure><h3>${title}</h3><div class="drawing">${drawing}</div><figcaption>${reading}</figcaption></figure>`;
}
