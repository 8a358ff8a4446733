"""What all runners in Python say: see ../runner.ts."""
import importlib
import json
import os
import platform
import re
import resource
import sys
import time


def job():
    """What is to be done, as the benchmark describes it."""
    return json.loads(sys.argv[1])


def allocator():
    """Says in a runner's detail that glibc's allocator keeps what is freed."""
    kept = "MALLOC_TRIM_THRESHOLD_" in os.environ and platform.libc_ver()[0] == "glibc"
    return ", tuned allocator" if kept else ""


def say(**answer):
    print(json.dumps(answer), flush=True)


def unavailable(reason, missing=False):
    """Says why this runner is unavailable, and whether something is missing in any configuration; ends."""
    say(unavailable=str(reason), missing=missing)
    sys.exit(0)


def library(name, title):
    """Imports a library, or says that it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        unavailable(f"{title}: {error}", missing=True)


def resident():
    """Most memory that this process has held so far, in bytes."""
    if sys.platform == "linux":  # there getrusage knows of the process that started this one, too
        kilobytes = re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())
        if kilobytes:
            return int(kilobytes[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def repeat(run, least, duration):
    """Runs at least `least` times and for at least `duration` seconds; returns the mean seconds of a run, and all."""
    start = time.perf_counter()
    runs = 0
    while runs < least or time.perf_counter() - start < duration:
        run()
        runs += 1
    spent = time.perf_counter() - start
    return spent / runs, spent


def serve_rounds(run, detail, threads, peak=resident, waited=None):
    """
    Warms up, then does the job for every line on standard input, with the least times of ../runner-loop.ts.
    `waited()` says how many seconds have been spent waiting for data so far.
    """
    try:
        repeat(run, 2, 0.5)
    except Exception as error:  # a configuration that this version or machine cannot run
        text = str(error).splitlines()
        unavailable(f"{type(error).__name__}: {text[0] if text else 'no message'}")
    say(ready=True, detail=detail, threads=threads)
    for _ in sys.stdin:
        before = waited() if waited else 0
        seconds, spent = repeat(run, 1, 0.2)
        data = {"dataWait": (waited() - before) / spent} if waited else {}
        say(seconds=seconds, peakBytes=peak(), **data)
