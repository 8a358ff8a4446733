import { METHODS } from '../data/proxies/names.js';
import type { ReportData } from './data.js';
import { html } from './html.js';
import { renderPage } from './page.js';
import { contrastSection, cosineSection, trainingSection } from './sections.js';
import { checkpointsSection, runSection, samplesSection } from './tables.js';
import { WORDING } from './wording.js';

/** The report of a pre-training, as a page of its own. */
export const renderReport = (data: ReportData): string =>
  renderPage({
    kicker: `${METHODS[data.proxy].name} training report`,
    title: data.title,
    createdAt: data.createdAt,
    lead: html`${WORDING[data.proxy].task}
This page shows how well it learnt that, and whether its features can now tell which whole a part was cut from.`,
    headline: data.headline,
    main: html`${trainingSection(data)}
${samplesSection(data)}
${cosineSection(data)}
${contrastSection(data)}
${checkpointsSection(data)}
${runSection(data)}`,
    source: html`Method: ${WORDING[data.proxy].source}`,
  });
