import { UserError } from '../errors.js';

/** The error for a voxel that is neither background nor foreground. @param where the argument that has it */
export const notAMask = (where: string, value: number): UserError =>
  new UserError('usage', { what: 'this is not a mask', where, got: String(value), expected: '0 and 1' });
