#!/usr/bin/env python3
"""Writes the broken safetensors files beside this file, each with one fault.

The files are committed; run this only to add one, then add its row to safetensors_test.cpp.
"""
import json
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def encode(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype="F32", shape=(2,), begin=0, end=8):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


GOOD = encode({"w": tensor()}, bytes(8))
CASES = {
    "empty": b"",
    "length-cut": GOOD[:5],
    "length-beyond-file": encode({"w": tensor()}, bytes(8), length=1000),
    "length-enormous": encode({}, length=(1 << 64) - 1),
    "header-not-json": encode(b'{"w": }', bytes(8)),
    "header-array": encode(b"[1, 2]"),
    "header-not-utf8": encode(b'{"\xff\xfe": 1}'),
    "header-deep": encode(b'{"w":' + b"[" * 400 + b"]" * 400 + b"}"),
    "key-twice": encode(b'{"w":%s,"w":%s}' % ((json.dumps(tensor()).encode(),) * 2), bytes(8)),
    "entry-number": encode({"w": 7}),
    "entry-without-shape": encode({"w": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8)),
    "dtype-bf16": encode({"w": tensor("BF16", (4,))}, bytes(8)),
    "dtype-number": encode({"w": tensor(32)}, bytes(8)),
    "shape-negative": encode({"w": tensor(shape=(-2,))}, bytes(8)),
    "shape-fraction": encode({"w": tensor(shape=(2.5,))}, bytes(8)),
    "shape-overflow": encode({"w": tensor(shape=(1 << 62, 1 << 62))}, bytes(8)),
    "shape-too-large-for-offsets": encode({"w": tensor(shape=(3,))}, bytes(8)),
    "offsets-three": encode({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8]}}, bytes(8)),
    "offsets-backwards": encode({"w": tensor(shape=(0,), begin=8, end=0)}, bytes(8)),
    "offsets-overlap": encode({"a": tensor(), "b": tensor(begin=4, end=12)}, bytes(12)),
    "offsets-gap": encode({"a": tensor(), "b": tensor(begin=12, end=20)}, bytes(20)),
    "data-cut": GOOD[:-1],
    "data-too-long": GOOD + b"\0",
}
for name, content in CASES.items():
    with open(os.path.join(HERE, name + ".safetensors"), "wb") as file:
        file.write(content)
print(len(CASES), "cases")
