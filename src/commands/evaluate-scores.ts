import { areaUnderRoc, averagePrecision, rankScores } from '../analysis/ranking.js';
import { abridged, UserError } from '../errors.js';
import { numberIn, type Row, requireColumns, type Table } from '../tables/table.js';
import { type Evaluation, type Resampling, withIntervals } from './evaluation.js';

const PLACE_COLUMNS = ['seriesuid', 'coordX', 'coordY', 'coordZ'] as const;

/** What a sample is called: its `id`, or scan and position, as in LUNA16's lists of candidates. */
function keyOf({ columns }: Table): { needed: readonly string[]; of: (row: Row) => string } {
  if (columns.includes('id') || !columns.includes('seriesuid'))
    return { needed: ['id'], of: ({ cells }) => cells.id! };
  const [scan, ...coordinates] = PLACE_COLUMNS;
  return {
    needed: PLACE_COLUMNS,
    of: (row) => [row.cells[scan], ...coordinates.map((axis) => numberIn(row, axis))].join(' '),
  };
}

/** The column of a table that has one of two names, the first if it has neither. */
const columnOf = ({ columns }: Table, name: string, other: string) =>
  !columns.includes(name) && columns.includes(other) ? other : name;

/** The scores of a prediction: a column `score`, or `probability` as in LUNA16's submissions. */
export const scoreColumn = (table: Table) => columnOf(table, 'score', 'probability');

/** Numbers by sample. @throws UserError when a sample is there twice */
function numbersOf(table: Table, column: string): Map<string, { value: number; where: string }> {
  const { needed, of } = keyOf(table);
  requireColumns(table, [...needed, column]);
  const numbers = new Map<string, { value: number; where: string }>();
  for (const row of table.rows) {
    const id = of(row);
    const earlier = numbers.get(id);
    if (earlier)
      throw new UserError('input', {
        what: `${id} occurs twice`,
        where: row.where,
        got: `also ${earlier.where}`,
      });
    numbers.set(id, { value: numberIn(row, column), where: row.where });
  }
  return numbers;
}

function refuseMissing(
  ids: Iterable<string>,
  there: ReadonlyMap<string, unknown>,
  path: string,
  what: string,
) {
  const missing = [...ids].filter((id) => !there.has(id));
  if (missing.length === 0) return;
  throw new UserError('input', {
    what: `some samples have no ${what} here`,
    where: path,
    got: `none for ${abridged(missing)}`,
    expected: 'the same ids in both files',
  });
}

/**
 * AUC and average precision of scores.
 * @throws UserError when an id is missing on either side, or a label is neither 0 nor 1
 */
export function evaluateScores(prediction: Table, reference: Table, resampling: Resampling): Evaluation {
  const scores = numbersOf(prediction, scoreColumn(prediction));
  const labels = numbersOf(reference, columnOf(reference, 'label', 'class'));
  refuseMissing(labels.keys(), scores, prediction.path, 'score');
  refuseMissing(scores.keys(), labels, reference.path, 'label');
  const classes: [negative: number[], positive: number[]] = [[], []];
  for (const [id, { value, where }] of labels) {
    if (value !== 0 && value !== 1)
      throw new UserError('input', {
        what: `the label of ${id} is neither 0 nor 1`,
        where,
        got: String(value),
      });
    classes[value].push(scores.get(id)!.value);
  }
  const [negative, positive] = classes;
  const ranking = rankScores(positive, negative);
  const measure = (draws?: Uint32Array) => ({
    auc: areaUnderRoc(ranking, draws),
    average_precision: averagePrecision(ranking, draws),
  });
  return {
    kind: 'scores',
    facts: { samples: labels.size, positives: positive.length },
    ...withIntervals(labels.size, measure, resampling),
    standardDeviations: {},
    notes: whyUndefined(positive.length, negative.length),
    cases: [],
  };
}

function whyUndefined(positives: number, negatives: number): string[] {
  if (positives > 0 && negatives > 0) return [];
  if (positives + negatives === 0) return ['auc and average_precision are undefined: there are no samples'];
  if (positives > 0) return [`auc is undefined: all ${positives} samples have label 1`];
  return [`auc and average_precision are undefined: all ${negatives} samples have label 0`];
}
