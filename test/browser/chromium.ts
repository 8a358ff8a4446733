import { type Browser, type BrowserContextOptions, chromium, type Page, type Request } from 'playwright-core';
import { expect } from 'vitest';
import { findBrowser } from '../../src/bench/engines/browser.js';

/** There is no Chromium on some machines. */
export const hasChromium = findBrowser() !== null;

/** A browser, with all that the pages opened by `newPage` have asked for and what went wrong in them. */
export interface Chromium {
  readonly browser: Browser;
  readonly requested: Request[];
  readonly faults: string[];
  newPage(options?: BrowserContextOptions): Promise<Page>;
}

/** @param flags of the command line, beside those that a container needs */
export async function startChromium(...flags: readonly string[]): Promise<Chromium> {
  const browser = await chromium.launch({ executablePath: findBrowser()!, args: ['--no-sandbox', ...flags] });
  const requested: Request[] = [];
  const faults: string[] = [];
  return {
    ...{ browser, requested, faults },
    async newPage(options) {
      const page = await browser.newPage(options);
      page.on('request', (request) => requested.push(request));
      page.on('pageerror', (error) => faults.push(error.message));
      return page;
    },
  };
}

/** What pages have asked for from others than their own server. */
export const askedElsewhere = ({ requested }: Chromium, ownUrl: string): string[] =>
  requested
    .map((request) => request.url())
    .filter((url) => !url.startsWith(ownUrl) && !/^(blob|data):/.test(url));

/** Waits until the service worker of an example keeps its files, which it does all at once. */
export const keptOffline = (page: Page) =>
  // `page.waitForFunction` would take the promise itself for true.
  expect.poll(() => page.evaluate("caches.match('page.js').then(Boolean)"), { timeout: 60_000 }).toBe(true);

/** Drops a file on what a selector names. What runs in a page is text: tests know Node.js only. */
export async function dropFile(page: Page, selector: string, name: string, bytes: Buffer): Promise<void> {
  const dataTransfer = await page.evaluateHandle(`(() => {
    const bytes = Uint8Array.from(atob('${bytes.toString('base64')}'), (c) => c.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], '${name}'));
    return data;
  })()`);
  await page.dispatchEvent(selector, 'drop', { dataTransfer });
}
