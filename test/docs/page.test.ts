import { testDocument } from './document.js';

testDocument('docs/page.md', 0);
