/** A thread of `prepare`: gets scans, answers with the records of their tiles. */
import { answerRequests } from '../worker.js';
import { tileScan } from './tile-scan.js';

answerRequests(tileScan);
