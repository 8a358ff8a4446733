import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import type { TestContext } from 'vitest';

const mount = (...line: string[]) => execFileSync('mount', line, { stdio: 'pipe' });

/** Mounts a disk at a folder until the test ends; where none can be mounted, the test is skipped. `options` are such as `size=1m`. */
export function mountDisk(context: TestContext, disk: string, options: string): void {
  mkdirSync(disk, { recursive: true });
  try {
    mount('-t', 'tmpfs', '-o', options, 'tmpfs', disk);
  } catch (error) {
    context.skip(`no disk can be mounted here: ${(error as Error).message.trim()}`);
  }
  context.onTestFinished(() => {
    execFileSync('umount', [disk]);
  });
}

/** Gives a mounted disk other options, such as another size. */
export function remount(disk: string, options: string): void {
  mount('-o', `remount,${options}`, disk);
}
