import { testDocument } from './document.js';

testDocument('docs/graphs.md', 3);
