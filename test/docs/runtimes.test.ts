import { testDocument } from './document.js';

testDocument('docs/runtimes.md', 6);
