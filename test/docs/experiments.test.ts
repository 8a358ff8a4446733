import { testDocument } from './document.js';

testDocument('docs/experiments.md', 4);
