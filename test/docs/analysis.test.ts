import { testDocument } from './document.js';

testDocument('docs/analysis.md', 6);
