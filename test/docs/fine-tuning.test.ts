import { testDocument } from './document.js';

testDocument('docs/fine-tuning.md', 7);
