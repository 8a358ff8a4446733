import { testDocument } from './document.js';

testDocument('docs/data-preparation.md', 3);
