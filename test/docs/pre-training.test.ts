import { testDocument } from './document.js';

testDocument('docs/pre-training.md', 8);
