import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { launchedSize } from '../../src/distributed/mpi.js';
import { candidates, interfaceOf, loadMpi, shortVersion } from '../../src/distributed/mpi-library.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

describe('an MPI library', () => {
  test('is told by what it exports, and else by its name', () => {
    const none = { openMpi: null, standard: false };
    const address = (symbol: string) => BigInt(symbol.length);
    expect(interfaceOf('Open MPI v5.0.11', { ...none, openMpi: address })).toMatchObject({
      ...{ handle: 'void *', world: 19n, float: 14n, inPlace: 1n, funneled: 1 },
    });
    for (const version of ['MPICH Version: 4.0.2', 'Intel(R) MPI Library 2021.13', 'MVAPICH2 Version: 2.3.7'])
      expect(interfaceOf(version, none)).toMatchObject({ handle: 'int', world: 0x44000000, inPlace: -1n });
    expect(interfaceOf('MPICH Version: 5.0.2', { ...none, standard: true })).toMatchObject({
      ...{ handle: 'void *', world: 0x101n, funneled: 1024 },
    });
    expect(interfaceOf('HP MPI 2.3', none)).toBeNull();
  });

  test.each([
    ['Open MPI v5.0.11, package: Open MPI user@host Distribution', 'Open MPI v5.0.11'],
    ['MPICH Version:      5.0.2\nMPICH Release date: …', 'MPICH 5.0.2'],
    ['MPICH Version:\t4.0.2\nMPICH Release date:\t…', 'MPICH 4.0.2'],
    ['Intel(R) MPI Library 2021.13 for Linux* OS\n', 'Intel(R) MPI Library 2021.13 for Linux* OS'],
  ])('%j is called %j', (version, called) => {
    expect(shortVersion(version)).toBe(called);
  });

  test('beside the launcher comes before all that the loader knows', () => {
    const root = temporaryFolder();
    const [bin, lib] = [join(root, 'bin'), join(root, 'lib')];
    for (const folder of [bin, lib]) mkdirSync(folder);
    writeFileSync(join(bin, 'mpirun'), '');
    writeFileSync(join(lib, 'libmpi.so.40'), '');
    const beside = join(lib, 'libmpi.so.40');
    const [first, ...others] = candidates({ PATH: bin });
    expect(first).toBe(beside);
    expect(others).toContain('libmpi.so.12');
    expect(candidates({ PATH: bin, OMPI_COMM_WORLD_SIZE: '2' }).slice(0, 2)).toEqual([
      beside,
      'libmpi.so.40',
    ]);
    expect(candidates({ PATH: lib })).toEqual(others);
    // Where several are installed, `mpirun` is a link to the launcher of one.
    const links = join(root, 'links');
    mkdirSync(links);
    writeFileSync(join(bin, 'orterun'), '');
    symlinkSync(join(bin, 'orterun'), join(links, 'mpirun'));
    expect(candidates({ PATH: links }).slice(0, 2)).toEqual([beside, 'libmpi.so.40']);
    expect(candidates({ PATH: links, PMI_SIZE: '2' }).slice(0, 2)).toEqual([beside, 'libmpi.so.12']);
    expect(candidates({ PATH: bin, P2W_MPI_LIBRARY: 'mine.so' })).toEqual(['mine.so']);
  });

  test('that is not there is an error that says how to name one', async () => {
    await expect(loadMpi({ P2W_MPI_LIBRARY: '/nowhere/libmpi.so' })).rejects.toThrow(
      /--distributed mpi: no MPI library can be loaded\n.*\/nowhere\/libmpi\.so.*\n.*P2W_MPI_LIBRARY/,
    );
  });

  test.skipIf(process.platform !== 'linux')('that is none is refused', async () => {
    await expect(loadMpi({ P2W_MPI_LIBRARY: 'libm.so.6' })).rejects.toThrow(
      /libm\.so\.6: this library has a binary interface that p2w does not know[\s\S]*expected: Open MPI, MPICH/,
    );
  });
});

test('launchers tell their processes how many they are; a launcher inside another counts', () => {
  expect(launchedSize({})).toBeUndefined();
  expect(launchedSize({ PMI_SIZE: '4' })).toBe(4);
  expect(launchedSize({ OMPI_COMM_WORLD_SIZE: '8', SLURM_STEP_NUM_TASKS: '2' })).toBe(8);
  expect(launchedSize({ SLURM_STEP_NUM_TASKS: '2' })).toBe(2);
});
