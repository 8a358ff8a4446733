import { describe, expect, test } from 'vitest';
import { type CudaFacts, cudaFacts, cudaFindings } from '../../src/runtime/cuda.js';
import { readable } from '../../src/runtime/providers.js';

/** A machine that lacks nothing, with CUDA 13. */
const complete: CudaFacts = {
  platform: 'linux x64',
  version: '1.30.0',
  home: '/app/node_modules/onnxruntime-node',
  provider: { sameVersion: true, cuda: 13 },
  missing: [],
  installed: [13],
  driver: '580.65.06',
};
const find = (change: Partial<CudaFacts>, problem: string | null = 'Failed to load shared library') =>
  cudaFindings({ ...complete, ...change }, problem).map(({ what, fix }) => `${what}\n${fix.join('\n')}`);

describe('what CUDA lacks', () => {
  test('is nothing where nothing is missing', () => {
    expect(find({}, null)).toEqual([]);
  });

  test('a driver', () => {
    expect(find({ missing: ['libcuda.so.1'], driver: null })).toEqual([
      expect.stringMatching(/^no NVIDIA driver: libcuda\.so\.1[\s\S]*nvidia\.com\/drivers/),
    ]);
  });

  test('a driver that is new enough for the CUDA of the provider', () => {
    const old = find({ driver: '550.54.15' });
    expect(old).toEqual([
      expect.stringMatching(/driver, 550\.54\.15, is too old for CUDA 13\nupdate it to 580/),
    ]);
    expect(find({ driver: '550.54.15', provider: { sameVersion: true, cuda: 12 } }, null)).toEqual([]);
    // Where the version is not to be read, ONNX Runtime's own message tells.
    const said = 'CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version';
    expect(find({ driver: null }, said)).toEqual([expect.stringContaining('too old for CUDA 13')]);
  });

  test('the provider library: the command for the CUDA that is installed, or for either', () => {
    const [for13, ...more] = find({ provider: null });
    expect(more).toEqual([]);
    expect(for13).toContain('onnxruntime-gpu==1.30.0');
    expect(for13).toContain('-d /app/node_modules/onnxruntime-node/bin/napi-v6/linux/x64');
    expect(for13).not.toContain('CUDA 12');
    const [for12] = find({ provider: null, installed: [12] });
    expect(for12).toContain(
      'ONNXRUNTIME_NODE_INSTALL=true node /app/node_modules/onnxruntime-node/script/install.js',
    );
    expect(for12).not.toContain('CUDA 13');
    const [either] = find({ provider: null, installed: [] });
    expect(either).toMatch(/for CUDA 12: [\s\S]*\nfor CUDA 13: /);
  });

  test('a provider library of another version, or none at all under its name', () => {
    expect(find({ provider: { sameVersion: false, cuda: 13 } }, null)).toEqual([
      expect.stringMatching(/not the same version as ONNX Runtime, 1\.30\.0: .*cuda\.so\nfor CUDA 13: /),
    ]);
    expect(find({ provider: { sameVersion: false, cuda: null } })).toEqual([
      expect.stringContaining('this is not a CUDA provider library'),
    ]);
  });

  test('the other CUDA: 12 is there, the provider wants 13', () => {
    const [finding, ...more] = find({ missing: ['libcudart.so.13', 'libcublasLt.so.13'], installed: [12] });
    expect(more).toEqual([]);
    expect(finding).toMatch(
      /^the CUDA provider is for CUDA 13, .*libcublasLt\.so\.13 .*; installed is CUDA 12\n/,
    );
    expect(finding).toContain('cuda-libraries-13-0');
    expect(finding).toContain('or a provider for CUDA 12: ONNXRUNTIME_NODE_INSTALL');
  });

  test('cuDNN, in the package for that CUDA', () => {
    expect(find({ missing: ['libcudnn.so.9'] })).toEqual([
      expect.stringMatching(/^no cuDNN 9[\s\S]*apt-get install libcudnn9-cuda-13 [\s\S]*LD_LIBRARY_PATH/),
    ]);
  });

  test('a GPU, or one of this number', () => {
    expect(find({}, 'CUDA failure 100: no CUDA-capable device is detected')).toEqual([
      expect.stringMatching(/^the driver finds no GPU\ncheck that nvidia-smi/),
    ]);
    expect(find({}, 'CUDA failure 101: invalid device ordinal')).toEqual([
      expect.stringContaining('no GPU with this number'),
    ]);
  });

  test('several things at once, the most basic first', () => {
    const all = find({
      missing: ['libcuda.so.1', 'libcudnn.so.9'],
      provider: null,
      installed: [],
      driver: null,
    });
    expect(all.map((text) => text.split(' ').slice(0, 3).join(' '))).toEqual([
      'no NVIDIA driver:',
      'no CUDA provider:',
      'no cuDNN 9,',
    ]);
  });

  test('everything, on a system for which there is no provider', () => {
    expect(find({ platform: 'darwin arm64' })).toEqual([expect.stringContaining('not on darwin arm64')]);
  });
});

test('a library counts as missing when the system cannot load it, and only then', (context) => {
  if (process.platform !== 'linux' || process.arch !== 'x64') return context.skip('for Linux on x64 only');
  const { version, missing, driver } = cudaFacts();
  expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  if (driver === null) expect(missing).toContain('libcuda.so.1');
  else expect(missing).not.toContain('libcuda.so.1');
});

test('of ONNX Runtime’s messages remains what a reader can use', () => {
  // As ONNX Runtime 1.30 says it where there is a driver and no GPU.
  const said =
    '/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, int) [with ERRTYPE = cudaError; bool THRW = true] CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=vm ; file=/onnxruntime_src/cuda_execution_provider.cc ; line=352 ; expr=cudaSetDevice(info_.device_id); \n\n';
  expect(readable(said)).toBe('CUDA failure 100: no CUDA-capable device is detected');
  expect(readable('OrtSession: Failed to load shared library\n')).toBe(
    'OrtSession: Failed to load shared library',
  );
});
