"""A driver in a process of its own: python -m support.drive FOLDER local|ray WORKERS."""

import sys

from support.corpora import Slow

from aligndec.corpus import Run, run_local, run_ray

if __name__ == "__main__":
    folder, launcher, workers = sys.argv[1:]
    run = Run.open(folder)
    if launcher == "ray":
        run_ray(run, actors=int(workers), work=Slow)
    else:
        run_local(run, int(workers), work=Slow)
