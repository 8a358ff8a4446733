import type { Headline } from './data.js';
import { type Content, Html, html } from './html.js';
import { STYLE } from './style.js';

export interface Page {
  readonly kicker: string;
  readonly title: string;
  /** ISO 8601; not shown without it. */
  readonly createdAt?: string;
  readonly lead: Content;
  readonly headline?: readonly Headline[];
  readonly main: Content;
  /** Below the notice that every page has. */
  readonly source: Content;
}

/**
 * An HTML page that needs nothing else: styles, charts and images are inside, there are no scripts, and its own policy
 * forbids it to load anything.
 */
export function renderPage({ kicker, title, createdAt, lead, headline = [], main, source }: Page): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<header>
<p class="kicker">${kicker}</p>
<h1>${title}</h1>
${createdAt === undefined ? null : html`<time datetime="${createdAt}">${readableTime(createdAt)}</time>`}
<p class="lead">${lead}</p>
</header>
<main>
${headline.length > 0 ? html`<dl class="headline">${headline.map(card)}</dl>` : null}
${main}
</main>
<footer>
<p>For research only. This is not a medical device and must not be used for diagnosis or treatment.</p>
<p>${source}</p>
</footer>
</body>
</html>
`.text;
}

function card({ label, value, note }: Headline): Html {
  const below = note === undefined ? null : html`<dd class="note">${note}</dd>`;
  return html`<div><dt>${label}</dt><dd class="value">${value}</dd>${below}</div>`;
}

function readableTime(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  return `${time.toLocaleString('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' })} UTC`;
}
