/**
 * Why ONNX Runtime's CUDA provider does not run, told apart by what is missing. ONNX Runtime itself says little:
 * "Failed to load shared library", whichever it is.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** What was found on this machine. */
export interface CudaFacts {
  /** Operating system and processor: `linux x64`. */
  readonly platform: string;
  /** Of onnxruntime-node; the provider's library must be of the same. */
  readonly version: string;
  /** Where onnxruntime-node is installed. */
  readonly home: string;
  /** The provider's library; `null` where it, or the small one that it works with, is not there. */
  readonly provider: {
    /** It carries onnxruntime-node's version. */
    readonly sameVersion: boolean;
    /** Major version of the CUDA that it was built for; `null` for a file that is no such library. */
    readonly cuda: number | null;
  } | null;
  /** Shared libraries that are needed and cannot be loaded. */
  readonly missing: readonly string[];
  /** Major versions of CUDA that are installed. */
  readonly installed: readonly number[];
  /** Version of the NVIDIA driver in the kernel; `null` where none says. */
  readonly driver: string | null;
}

/** One thing that is missing, and how to get it. */
export interface Finding {
  readonly what: string;
  /** What to do, line by line. */
  readonly fix: readonly string[];
}

/** The oldest driver for each CUDA, and its latest packages. */
const RELEASES: Readonly<Record<number, { readonly driver: number; readonly packages: string }>> = {
  12: { driver: 525, packages: 'cuda-libraries-12-9' },
  13: { driver: 580, packages: 'cuda-libraries-13-0' },
};
const DRIVER = 'libcuda.so.1';
const CUDNN = 'libcudnn.so.9';
const PROVIDER = ['libonnxruntime_providers_cuda.so', 'libonnxruntime_providers_shared.so'] as const;

export const binFolder = (home: string): string => join(home, 'bin/napi-v6/linux/x64');

/** Whether the system's loader finds a shared library with all that it needs. */
function loads(library: string): boolean {
  try {
    process.dlopen({ exports: {} }, library);
    return true;
  } catch (error) {
    // What was loaded and is no module for Node.js is refused only then, and closed again.
    return (error as Error).message.includes('did not self-register');
  }
}

function readProvider(home: string, version: string): CudaFacts['provider'] {
  const [path, shared] = PROVIDER.map((name) => join(binFolder(home), name));
  if (!existsSync(path!) || !existsSync(shared!)) return null;
  const bytes = readFileSync(path!);
  const needed = 'libcublasLt.so.';
  const at = bytes.indexOf(needed);
  const cuda =
    at < 0 ? Number.NaN : Number.parseInt(bytes.toString('latin1', at + needed.length, at + 20), 10);
  return {
    sameVersion: bytes.includes(`\0${version}\0`),
    cuda: Number.isNaN(cuda) ? null : cuda,
  };
}

function driverVersion(): string | null {
  try {
    const text = readFileSync('/proc/driver/nvidia/version', 'utf8');
    return /\b(\d+\.\d+(\.\d+)?)\b/.exec(text)?.[1] ?? null;
  } catch {
    return null;
  }
}

/** Looks for all that CUDA needs. Reads the whole provider library: a third of a second. */
export function cudaFacts(): CudaFacts {
  const file = createRequire(import.meta.url).resolve('onnxruntime-node/package.json');
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  const home = dirname(file);
  const platform = `${process.platform} ${process.arch}`;
  const nothing = { platform, version, home, provider: null, missing: [], installed: [], driver: null };
  if (platform !== 'linux x64') return nothing;
  const provider = readProvider(home, version);
  const toolkit = provider?.cuda
    ? [...['cudart', 'cublas', 'cublasLt'].map((name) => `lib${name}.so.${provider.cuda}`), 'libcurand.so.10']
    : [];
  return {
    ...nothing,
    provider,
    missing: [DRIVER, ...toolkit, CUDNN].filter((library) => !loads(library)),
    installed: [12, 13].filter((major) => loads(`libcudart.so.${major}`)),
    driver: driverVersion(),
  };
}

/** The commands that put a provider library of the right version beside ONNX Runtime. */
function providerCommands({ home, version }: CudaFacts): Readonly<Record<number, string>> {
  return {
    12: `ONNXRUNTIME_NODE_INSTALL=true node ${join(home, 'script/install.js')}`,
    13: `pip download --no-deps onnxruntime-gpu==${version} && unzip -jo onnxruntime_gpu-${version}-*.whl '*/libonnxruntime_providers_*' -d ${binFolder(home)}`,
  };
}

/** How to get a provider library: for the CUDA that is installed, or for either. */
function providerFix(facts: CudaFacts, wanted: readonly number[] = facts.installed): string[] {
  const commands = providerCommands(facts);
  return (wanted.length === 1 ? wanted : [12, 13]).map((cuda) => `for CUDA ${cuda}: ${commands[cuda]}`);
}

function driverFinding({ missing, driver, provider }: CudaFacts, problem: string | null): Finding[] {
  if (missing.includes(DRIVER))
    return [
      {
        what: `no NVIDIA driver: ${DRIVER} cannot be loaded`,
        fix: [
          'install the driver (https://www.nvidia.com/drivers); in a container, start it with --gpus all',
        ],
      },
    ];
  const cuda = provider?.cuda ?? 12;
  const least = RELEASES[cuda]?.driver;
  const old = driver !== null && least !== undefined && Number.parseInt(driver, 10) < least;
  if (!old && !problem?.includes('CUDA failure 35')) return [];
  return [
    {
      what: `the NVIDIA driver${driver ? `, ${driver},` : ''} is too old for CUDA ${cuda}`,
      fix: [`update it to ${least ?? 'the latest'} or later (https://www.nvidia.com/drivers)`],
    },
  ];
}

function providerFinding(facts: CudaFacts): Finding[] {
  const { provider, version, home } = facts;
  const folder = binFolder(home);
  if (provider === null)
    return [
      {
        what: `no CUDA provider: ${PROVIDER.join(' and ')} are missing in ${folder}`,
        fix: providerFix(facts),
      },
    ];
  const path = join(folder, PROVIDER[0]);
  if (provider.cuda === null)
    return [{ what: `this is not a CUDA provider library: ${path}`, fix: providerFix(facts) }];
  if (provider.sameVersion) return [];
  return [
    {
      what: `the CUDA provider library is not the same version as ONNX Runtime, ${version}: ${path}`,
      fix: providerFix(facts, [provider.cuda]),
    },
  ];
}

const ELSEWHERE =
  'if it is installed in a folder that the loader does not search: export LD_LIBRARY_PATH=THAT_FOLDER';

function toolkitFinding(facts: CudaFacts): Finding[] {
  const { missing, provider, installed } = facts;
  const lacking = missing.filter((library) => library !== DRIVER && library !== CUDNN);
  if (!provider?.cuda || lacking.length === 0) return [];
  const others = installed.filter((major) => major !== provider.cuda);
  const packages = RELEASES[provider.cuda]?.packages ?? 'cuda-libraries';
  return [
    {
      what:
        `the CUDA provider is for CUDA ${provider.cuda}, and ${lacking.join(', ')} cannot be loaded` +
        (others.length > 0 ? `; installed is CUDA ${others.join(' and ')}` : ''),
      fix: [
        `sudo apt-get install ${packages} (from https://developer.nvidia.com/cuda-downloads)`,
        ELSEWHERE,
        ...(others.length > 0 ? providerFix(facts, others).map((line) => `or a provider ${line}`) : []),
      ],
    },
  ];
}

function cudnnFinding({ missing, provider, installed }: CudaFacts): Finding[] {
  if (!missing.includes(CUDNN)) return [];
  const versions = provider?.cuda ? [provider.cuda] : installed.length > 0 ? installed : [12, 13];
  const packages = versions.map((cuda) => `libcudnn9-cuda-${cuda}`).join(' or ');
  return [
    {
      what: `no cuDNN 9, which convolutions need: ${CUDNN} cannot be loaded`,
      fix: [
        `sudo apt-get install ${packages} (from https://developer.nvidia.com/cudnn-downloads)`,
        ELSEWHERE,
      ],
    },
  ];
}

function gpuFinding(problem: string | null): Finding[] {
  if (problem?.includes('CUDA failure 100'))
    return [
      {
        what: 'the driver finds no GPU',
        fix: [
          'check that nvidia-smi lists it and CUDA_VISIBLE_DEVICES does not hide it; in a container, start it with --gpus all',
        ],
      },
    ];
  if (problem?.includes('CUDA failure 101'))
    return [
      {
        what: 'there is no GPU with this number',
        fix: ['run nvidia-smi to list the GPUs; numbers start at 0'],
      },
    ];
  return [];
}

/**
 * What is missing for CUDA, most basic first; empty where nothing is known to be.
 * @param problem what ONNX Runtime said when a model was to run on a GPU; `null` when it ran
 */
export function cudaFindings(facts: CudaFacts, problem: string | null): Finding[] {
  if (facts.platform !== 'linux x64')
    return [{ what: `onnxruntime-node has CUDA on linux x64 only, not on ${facts.platform}`, fix: [] }];
  return [
    ...driverFinding(facts, problem),
    ...providerFinding(facts),
    ...toolkitFinding(facts),
    ...cudnnFinding(facts),
    ...gpuFinding(problem),
  ];
}
