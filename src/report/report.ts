import { METHODS } from '../config/proxies.js';
import type { Headline, ReportData } from './data.js';
import { Html, html } from './html.js';
import { contrastSection, cosineSection, trainingSection } from './sections.js';
import { STYLE } from './style.js';
import { checkpointsSection, runSection, samplesSection } from './tables.js';
import { WORDING } from './wording.js';

/**
 * The report of a training as one HTML page that needs nothing else: styles, charts and images are inside,
 * there are no scripts, and its own policy forbids it to load anything.
 */
export function renderReport(data: ReportData): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${data.title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<header>
<p class="kicker">${METHODS[data.proxy].name} training report</p>
<h1>${data.title}</h1>
<time datetime="${data.createdAt}">${readableTime(data.createdAt)}</time>
<p class="lead">${WORDING[data.proxy].task}
This page shows how well it learnt that, and whether its features can now tell which whole a part was cut from.</p>
</header>
<main>
${data.headline.length > 0 ? html`<dl class="headline">${data.headline.map(card)}</dl>` : null}
${trainingSection(data)}
${samplesSection(data)}
${cosineSection(data)}
${contrastSection(data)}
${checkpointsSection(data)}
${runSection(data)}
</main>
<footer>
<p>For research only. This is not a medical device and must not be used for diagnosis or treatment.</p>
<p>Method: ${WORDING[data.proxy].source}</p>
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
