import { testDocument } from './document.js';

testDocument('docs/scale.md', 12);
