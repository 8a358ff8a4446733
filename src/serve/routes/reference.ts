import { version } from '../../version.js';
import type { Routes } from '../context.js';
import { referencePage } from '../reference-page.js';

const DOCUMENT = {
  openapi: '3.1.0',
  info: { title: 'parts2whole', version, description: 'For research only. This is not a medical device.' },
  security: [{ bearer: [] as string[] }],
};

export const referenceRoutes: Routes = (app) => {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  // Made once, when all routes are there: anybody may ask for them, as often as they like.
  let texts: { readonly json: string; readonly page: string } | undefined;
  const made = () => {
    const document = app.getOpenAPI31Document(DOCUMENT);
    return { json: JSON.stringify(document), page: referencePage(document) };
  };
  app.get('/openapi.json', (c) => {
    texts ??= made();
    return c.body(texts.json, 200, { 'Content-Type': 'application/json' });
  });
  app.get('/reference', (c) => {
    texts ??= made();
    return c.html(texts.page);
  });
};
