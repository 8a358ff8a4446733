/** The report of a fine-tuning, as a page of its own. */
import type { Point } from './axes.js';
import { lineChart } from './charts.js';
import { smooth, thin } from './curves.js';
import type { ReportData, Slices } from './data.js';
import { type Html, html } from './html.js';
import { picture } from './images.js';
import { shortNumber } from './numbers.js';
import { renderPage } from './page.js';
import { figure } from './sections.js';
import { runSection, scrollable } from './tables.js';
import { WORDING } from './wording.js';

/** A test sample that was segmented. */
export interface SegmentedSample {
  readonly name: string;
  readonly image: Slices;
  readonly reference: Slices;
  readonly prediction: Slices;
  readonly dice: number;
}

export interface TargetReportData
  extends Pick<ReportData, 'timing' | 'machine' | 'configuration' | 'training'> {
  readonly title: string;
  readonly createdAt: string;
  readonly kind: 'classification' | 'segmentation';
  readonly classes: readonly string[];
  /** Where the weights came from. */
  readonly begunFrom: string;
  readonly bestStep: number;
  /** What the tested checkpoint was chosen by: the loss, or a score. */
  readonly bestBy: string;
  readonly validation: readonly {
    readonly step: number;
    readonly loss: number;
    readonly score: number | null;
  }[];
  /** What the validation's score is called. */
  readonly scoreName: string;
  /** On the test samples. */
  /** Null where one is not defined. */
  readonly scores: Readonly<Record<string, number | null>>;
  readonly testSamples: number;
  /** Of the second of two classes; null for anything else. */
  readonly roc: readonly Point[] | null;
  readonly samples: readonly SegmentedSample[];
}

const MOST_POINTS = 500;
const step = { label: 'Training step', scale: 'linear', include: [0] } as const;

function curvesSection({ training, validation, scoreName, bestStep, bestBy }: TargetReportData): Html {
  const losses = training.map(({ step, loss }): Point => [step, loss]);
  const loss = lineChart({
    title: 'Training and validation loss by training step',
    x: step,
    y: { label: 'Loss', scale: 'linear', include: [0] },
    series: [
      { name: 'training, each step', look: 'faint', points: thin(losses, MOST_POINTS) },
      {
        name: 'training, smoothed',
        look: 'second',
        points: thin(smooth(losses, losses.length / 40), MOST_POINTS),
      },
      { name: 'validation', look: 'first', points: validation.map((v): Point => [v.step, v.loss]) },
    ],
  });
  const score = lineChart({
    title: `${scoreName} by training step`,
    x: step,
    y: { label: scoreName, scale: 'linear' },
    series: [
      {
        name: scoreName,
        look: 'first',
        points: validation.flatMap((v): Point[] => (v.score === null ? [] : [[v.step, v.score]])),
      },
    ],
  });
  return html`<section><h2>Training</h2><div class="pair">
${figure('Loss', loss, `The checkpoint with the ${bestBy === 'loss' ? 'lowest validation loss' : `highest validation ${bestBy}`}, from step ${bestStep}, was tested.`)}
${figure(`Validation: ${scoreName}`, score, 'On the validation samples, which are not used for training.')}
</div></section>`;
}

function rocSection({ roc, classes, scores }: TargetReportData): Html | null {
  if (!roc) return null;
  const rate = (label: string) => ({ label, scale: 'linear', include: [0, 1], unit: '%' }) as const;
  const chart = lineChart({
    title: 'ROC curve of the test samples',
    x: rate('False positive rate'),
    y: rate('True positive rate'),
    series: [
      { name: `${classes[1]}, AUC ${scores.auc?.toFixed(3) ?? '–'}`, look: 'first', points: roc },
      {
        name: 'chance',
        look: 'reference',
        points: [
          [0, 0],
          [1, 1],
        ],
      },
    ],
  });
  return html`<section><h2>Choosing a threshold</h2><div class="pair">${figure(
    'ROC curve',
    chart,
    `Fraction of class ${classes[1]} that is detected at each false positive rate, on the test samples.`,
  )}</div></section>`;
}

function scoresSection({ scores, testSamples }: TargetReportData): Html {
  const rows = Object.entries(scores).map(
    ([name, value]) => html`<tr><th scope="row">${name}</th><td>${value?.toFixed(4) ?? '–'}</td></tr>`,
  );
  return html`<section><h2>Scores</h2><p>On ${testSamples} test samples.</p>
<table class="numbers"><tbody>${rows}</tbody></table></section>`;
}

function samplesSection({ samples }: TargetReportData): Html | null {
  if (samples.length === 0) return null;
  const planes = ['Axial', 'Coronal', 'Sagittal'] as const;
  const figures = samples.map(({ name, image, reference, prediction, dice }) => {
    const columns = [
      { title: 'Image', slices: image },
      { title: 'Reference', slices: reference },
      { title: 'Prediction', slices: prediction },
    ];
    const rows = planes.map((plane, i) => {
      const cells = columns.map(
        ({ title, slices }) =>
          html`<td>${picture(slices[i]!, `${plane} slice of ${name}: ${title.toLowerCase()}`)}</td>`,
      );
      return html`<tr><th scope="row">${plane}</th>${cells}</tr>`;
    });
    const heads = columns.map(({ title }) => html`<th scope="col">${title}</th>`);
    return html`<figure class="sample"><figcaption>${name}, Dice ${shortNumber(dice)}</figcaption>${scrollable(
      `Slices of ${name}`,
      html`<table class="slices"><thead><tr><td></td>${heads}</tr></thead><tbody>${rows}</tbody></table>`,
    )}</figure>`;
  });
  return html`<section><h2>Segmentations</h2>
<p>Middle slices of test samples, from worst to best. The brightness of a prediction is its probability.</p>
${figures}</section>`;
}

/** The page. */
export function renderTargetReport(data: TargetReportData): string {
  const { kind, classes, begunFrom, scores, testSamples } = data;
  const main = kind === 'classification' ? 'auc' : 'dice@0.5';
  const shown = Object.entries(scores).filter(([name]) =>
    [main, 'accuracy', 'average_precision', 'iou_fg@0.5', 'hausdorff95_mm'].includes(name),
  );
  return renderPage({
    kicker: kind === 'classification' ? 'Classifier training report' : 'Segmenter training report',
    title: data.title,
    createdAt: data.createdAt,
    lead: `Classes: ${classes.join(', ')}. Started from ${begunFrom === 'random' ? 'random weights' : begunFrom}, tested on ${testSamples} samples that were used neither for training nor for validation.`,
    headline: shown.map(([label, value]) => ({ label, value: value === null ? '–' : shortNumber(value) })),
    main: html`${curvesSection(data)}
${rocSection(data)}
${samplesSection(data)}
${scoresSection(data)}
${runSection(data)}`,
    source: WORDING.parts2whole.source,
  });
}
