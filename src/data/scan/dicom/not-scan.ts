/** What a file is that is no image, or an image that makes no scan: for people, after "passed over". */
export class NotScan extends Error {}
