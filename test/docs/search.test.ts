import { testDocument } from './document.js';

testDocument('docs/search.md', 9);
