"""What all contestants in Python say: see ../contestant.ts."""
import importlib
import json
import resource
import sys
import time


def work():
    """The work, as the race describes it."""
    return json.loads(sys.argv[1])


def say(**answer):
    print(json.dumps(answer), flush=True)


def missing(reason):
    """Says why this contestant cannot take part, and ends."""
    say(missing=str(reason))
    sys.exit(0)


def library(name, title):
    """Imports a library, or says that it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing(f"{title}: {error}")


def resident():
    """Most memory that this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def compete(run, detail, threads, peak=resident):
    """Does the work once more for every line on standard input; the first two times warm up."""
    try:
        run()
        run()
    except Exception as error:  # a configuration that this version or machine cannot run
        missing(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    say(ready=True, detail=detail, threads=threads)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        say(seconds=seconds, peakBytes=peak())
