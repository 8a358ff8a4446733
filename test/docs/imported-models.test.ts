import { testDocument } from './document.js';

testDocument('docs/imported-models.md', 12);
