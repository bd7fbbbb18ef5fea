"""Imported before numpy: its BLAS reads the number of its threads once, when it is loaded.

A detector's step multiplies matrices of a few kilobytes. On a busy machine OpenBLAS's threads spin
for one another and such a product takes up to 80 times as long (docs/benchmarks.md), so one thread
serves, unless the environment says otherwise. PyTorch, which trains, has threads of its own.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
