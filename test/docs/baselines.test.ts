import { testDocument } from './document.js';

testDocument('docs/baselines.md', 5);
