#!/usr/bin/env python3
"""Writes the broken data sets beside this file: one folder a case, each with one fault.

The cases are committed; run this only to add one, then add its row to broken_files_test.cpp.
Needs nothing but Python's standard library, and writes the same bytes every time.
"""
import gzip
import os
import shutil
import struct
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))


def idx(dimensions, elements, magic=0x0800):
    out = struct.pack(">I", magic | len(dimensions))
    return out + b"".join(struct.pack(">I", d) for d in dimensions) + elements


def npy(descr, shape, elements, order="False", version=1, magic=b"\x93NUMPY"):
    header = "{'descr': %s, 'fortran_order': %s, 'shape': %s, }" % (descr, order, shape)
    header = header.encode() + b" " * (117 - len(header)) + b"\n"
    return magic + bytes([version, 0]) + struct.pack("<H", len(header)) + header + elements


def zip_file(entries, method=8, flags=0, crc_change=0, size_change=0, offset_change=0):
    body, directory = b"", b""
    for name, content in entries:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(content) + packer.flush() if method == 8 else content
        crc = zlib.crc32(content) ^ crc_change
        size = len(content) + size_change
        common = struct.pack("<HHHHIIIHH", flags, method, 0, 0x21, crc, len(packed), size, len(name), 0)
        directory += struct.pack("<IHH", 0x02014B50, 20, 20) + common
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name
        body += struct.pack("<IH", 0x04034B50, 20) + common + name + packed
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(entries), len(entries), len(directory),
                      len(body) + offset_change, 0)
    return body + directory + end


TI, TL = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
EI, EL = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
GOOD_IDX = {TI: idx([2, 2, 2], bytes(8)), TL: idx([2], b"\0\1"),
            EI: idx([1, 2, 2], bytes(4)), EL: idx([1], b"\1")}
X = npy("'|u1'", "(2, 3)", bytes(6))
Y = npy("'<i4'", "(2,)", struct.pack("<ii", 0, 1))
GOOD_NPY = {"train_x.npy": X, "train_y.npy": Y, "test_x.npy": X, "test_y.npy": Y}
GOOD_ZIP = [(b"x.npy", X), (b"y.npy", Y)]
GZ = gzip.compress(GOOD_IDX[TI], mtime=0)


def with_idx(**change):
    return {**GOOD_IDX, **{{"ti": TI, "tl": TL, "ei": EI, "el": EL}[k]: v for k, v in change.items()}}


def with_gz(content):
    files = dict(GOOD_IDX)
    del files[TI]
    return {TI + ".gz": content, **files}


def without(files, name):
    return {k: v for k, v in files.items() if k != name}


def with_npy(**change):
    return {**GOOD_NPY, **{k + ".npy": v for k, v in change.items()}}


CASES = {
    "idx-empty-file": with_idx(ti=b""),
    "idx-header-cut": with_idx(ti=GOOD_IDX[TI][:11]),
    "idx-labels-in-place-of-images": with_idx(ti=GOOD_IDX[TL]),
    "idx-floats": with_idx(ti=idx([2, 2, 2], bytes(32), 0x0D00)),
    "idx-truncated": with_idx(ti=GOOD_IDX[TI][:-1]),
    "idx-oversized": with_idx(tl=GOOD_IDX[TL] + b"\0"),
    "idx-zero-dimension": with_idx(ti=idx([2, 0, 2], b"")),
    "idx-dimensions-overflow": with_idx(ti=idx([0xFFFFFFFF] * 3, bytes(8))),
    "idx-counts-differ": with_idx(tl=idx([3], b"\0\1\0")),
    "idx-unknown-evaluation-label": with_idx(el=idx([1], b"\7")),
    "idx-image-sizes-differ": with_idx(ei=idx([1, 2, 3], bytes(6))),
    "idx-labels-missing": without(GOOD_IDX, TL),
    "gz-no-deflate-data": with_gz(b"\x1f\x8b" + bytes(range(40, 80))),
    "gz-truncated": with_gz(GZ[:20]),
    "gz-checksum-cut": with_gz(GZ[:-3]),
    "gz-checksum-wrong": with_gz(GZ[:-8] + b"\1\2\3\4" + GZ[-4:]),
    "gz-bytes-after-the-end": with_gz(GZ + b"more"),
    "gz-content-oversized": with_gz(gzip.compress(GOOD_IDX[TI] + b"\0", mtime=0)),
    "gz-bomb": with_gz(gzip.compress(idx([60000, 10000, 10000], bytes(50000)), mtime=0)),
    "npy-other-file-type": with_npy(train_x=b"\x89PNG\r\n\x1a\n" + bytes(20)),
    "npy-version-9": with_npy(train_x=npy("'|u1'", "(2, 3)", bytes(6), version=9)),
    "npy-header-too-long": with_npy(train_x=X[:8] + b"\xff\xff" + X[10:]),
    "npy-header-no-dictionary": with_npy(train_x=X[:10] + b"[" + X[11:]),
    "npy-header-without-shape": with_npy(train_x=X[:10] + b"{'descr': '<f4'}".ljust(118) + X[128:]),
    "npy-fortran-order": with_npy(train_x=npy("'|u1'", "(2, 3)", bytes(6), order="True")),
    "npy-big-endian": with_npy(train_x=npy("'>f4'", "(2, 3)", bytes(24))),
    "npy-objects": with_npy(train_x=npy("'|O'", "(2, 3)", bytes(48))),
    "npy-negative-shape": with_npy(train_x=npy("'|u1'", "(2, -3)", bytes(6))),
    "npy-shape-overflow": with_npy(train_x=npy("'<f8'", "(4294967296, 4294967296)", bytes(6))),
    "npy-truncated": with_npy(train_x=X[:-1]),
    "npy-oversized": with_npy(train_x=X + b"\0\0"),
    "npy-no-samples": with_npy(train_x=npy("'|u1'", "(0, 9223372036854775807, 9223372036854775807)", b"")),
    "npy-counts-differ": with_npy(train_y=npy("'<i4'", "(3,)", bytes(12))),
    "npy-negative-label": with_npy(train_y=npy("'<i4'", "(2,)", struct.pack("<ii", 0, -1))),
    "npy-infinite-target": with_npy(train_y=npy("'<f4'", "(2,)", struct.pack("<ff", 0, float("inf")))),
    "npy-unknown-test-label": with_npy(test_y=npy("'<i8'", "(2,)", struct.pack("<qq", 1, 2))),
    "npy-labels-then-targets": with_npy(test_y=npy("'<f8'", "(2,)", bytes(16))),
    "npz-no-end-record": {"train.npz": zip_file(GOOD_ZIP)[:-10]},
    "npz-array-missing": {"train.npz": zip_file(GOOD_ZIP[:1])},
    "npz-checksum": {"train.npz": zip_file(GOOD_ZIP, crc_change=1)},
    "npz-stored-checksum": {"train.npz": zip_file(GOOD_ZIP, method=0, crc_change=0xFF)},
    "npz-bzip2": {"train.npz": zip_file(GOOD_ZIP, method=12)},
    "npz-encrypted": {"train.npz": zip_file(GOOD_ZIP, flags=1)},
    "npz-content-too-short": {"train.npz": zip_file(GOOD_ZIP, size_change=5)},
    "npz-content-too-long": {"train.npz": zip_file(GOOD_ZIP, size_change=-5)},
    "npz-bomb": {"train.npz": zip_file(GOOD_ZIP, size_change=1 << 30)},
    "npz-directory-misplaced": {"train.npz": zip_file(GOOD_ZIP, offset_change=-4)},
    "cifar-truncated": {"data_batch_1.bin": bytes(100)},
    "cifar-label-10": {"data_batch_1.bin": b"\x0a" + bytes(3072)},
    "cifar-batch-missing": {"data_batch_1.bin": bytes(3073)},
    "tokens-half-a-token": {"tokens.bin": bytes(81)},
    "tokens-beyond-vocabulary": {"tokens.bin": struct.pack("<60H", *([7] * 33 + [99] + [7] * 26))},
    "tokens-too-few": {"tokens.bin": bytes(8)},
    "tokens-of-another-type": {"tokens.bin": b"\xff" * 160},
    "text-empty": {"text.txt": b""},
    "text-evaluation-too-short": {"text.txt": b"thirty characters and no more."},
}

for case, files in CASES.items():
    folder = os.path.join(HERE, case)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for name, content in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
print(len(CASES), "cases")
