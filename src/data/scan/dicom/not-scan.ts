/** A file that is not an image, or not one that a scan can be made of. The message says what it is: "a localiser". */
export class NotScan extends Error {}
