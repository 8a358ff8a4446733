import { testDocument } from './document.js';

testDocument('docs/target-tasks.md', 3);
