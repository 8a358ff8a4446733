import { testDocument } from './document.js';

testDocument('docs/evaluation.md', 5);
