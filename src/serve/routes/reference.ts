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
  app.doc31('/openapi.json', DOCUMENT);
  app.get('/reference', (c) => c.html(referencePage(app.getOpenAPI31Document(DOCUMENT))));
};
