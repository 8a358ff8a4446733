import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { packageFolder, runPage } from '../../src/bench/engines/browser.js';
import type { Steps } from './model-losses.js';

/** The losses of {@link modelLosses} for each network, on WebGPU in Chromium. @throws Error with what went wrong in the page */
export async function lossesInChromium(
  browser: string,
  networks: readonly Steps[],
  seconds: number,
): Promise<number[][]> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('model-losses.page.ts', import.meta.url))],
    ...{ bundle: true, format: 'esm', write: false, logLevel: 'warning' },
  });
  const plain = ({ shape, data }: Steps['batch'][string]) => ({ shape, data: [...(data as Float32Array)] });
  const jobs = networks.map(({ rate, batch }) => ({
    ...{ rate, x: plain(batch.x!), target: plain(batch.target!) },
  }));
  const contents = {
    '/page.js': outputFiles[0]!.text,
    '/jobs.json': JSON.stringify(jobs),
    ...Object.fromEntries(networks.map(({ model }, i) => [`/${i}.onnx`, model])),
  };
  const site = { folders: { ort: packageFolder('onnxruntime-web')! }, contents };
  const found = JSON.parse(await runPage(browser, '/page.js', site, seconds));
  if (found.failed) throw new Error(found.failed);
  return found;
}
