import { testDocument } from './document.js';

testDocument('docs/performance.md', 2);
