/** Lossless JPEG (T.81, annex H): each sample is predicted from its neighbours, and the difference is coded. */
import { BitReader, type JpegScan } from './jpeg-stream.js';

export function decodeLossless(scan: JpegScan): Uint16Array {
  const { columns, rows, precision, dc, predictor, pointTransform, restartInterval, segments } = scan;
  if (predictor < 1 || predictor > 7) throw new Error(`predictor ${predictor}`);
  if (restartInterval % columns !== 0) throw new Error('restarts within a row');
  const samples = new Uint16Array(columns * rows);
  const rowsInSegment = restartInterval === 0 ? rows : restartInterval / columns;
  for (let row = 0, segment = 0; row < rows; segment++) {
    const bits = new BitReader(segments[segment] ?? new Uint8Array());
    const first = row;
    for (const end = Math.min(rows, row + rowsInSegment); row < end; row++) {
      let at = row * columns;
      for (let column = 0; column < columns; column++, at++) {
        let prediction: number;
        if (row === first)
          prediction = column === 0 ? 1 << (precision - pointTransform - 1) : samples[at - 1]!;
        else if (column === 0) prediction = samples[at - columns]!;
        else
          prediction = predict(
            predictor,
            samples[at - 1]!,
            samples[at - columns]!,
            samples[at - columns - 1]!,
          );
        const length = bits.symbol(dc);
        // Category 16 is the difference 32768, without further bits.
        if (length > 16) throw new Error('an invalid difference');
        samples[at] = prediction + (length === 16 ? 1 << 15 : bits.difference(length));
      }
    }
    bits.finish();
  }
  if (pointTransform > 0) for (let i = 0; i < samples.length; i++) samples[i] = samples[i]! << pointTransform;
  return samples;
}

function predict(predictor: number, left: number, above: number, diagonal: number): number {
  switch (predictor) {
    case 1:
      return left;
    case 2:
      return above;
    case 3:
      return diagonal;
    case 4:
      return left + above - diagonal;
    case 5:
      return left + ((above - diagonal) >> 1);
    case 6:
      return above + ((left - diagonal) >> 1);
    default:
      return (left + above) >> 1;
  }
}
