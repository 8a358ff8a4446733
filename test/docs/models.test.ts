import { testDocument } from './document.js';

testDocument('docs/models.md', 8);
