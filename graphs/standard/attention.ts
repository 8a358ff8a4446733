import type { Translations } from './node.js';
export const attention: Translations = {};
