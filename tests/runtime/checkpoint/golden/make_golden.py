#!/usr/bin/env python3
"""Writes what the reference implementation writes, for safetensors_test.cpp; the file is committed."""
import os

import numpy as np
from safetensors.numpy import save_file

save_file({"weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 4,
           "moment": np.array([1e-300, -2.5], dtype=np.float64),
           "step": np.array(41, dtype=np.int64),
           "flags": np.array([0, 255, 7], dtype=np.uint8),
           "none": np.zeros((0, 4), dtype=np.float32)},
          os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference.safetensors"),
          metadata={"format": "pt"})
