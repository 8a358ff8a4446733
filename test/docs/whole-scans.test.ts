import { testDocument } from './document.js';

testDocument('docs/whole-scans.md', 18);
