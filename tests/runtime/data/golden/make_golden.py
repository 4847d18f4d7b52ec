#!/usr/bin/env python3
"""Writes what NumPy itself writes, for npy_test.cpp. Needs NumPy; the files are committed."""
import os

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
x = np.arange(12, dtype="<f4").reshape(2, 2, 3) / 4
np.savez(os.path.join(here, "train.npz"), x=x, y=np.array([2, 0], dtype="<i8"))
np.savez_compressed(os.path.join(here, "test.npz"), x=x[:1] + 1, y=np.array([1], dtype="|u1"))
