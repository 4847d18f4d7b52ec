#!/usr/bin/env python3
"""Writes an image archive (docker-archive format: `docker load`, `podman load`, `ctr images import`).

    archive.py OUT.tar NAME:TAG LAYER... [--entrypoint WORD]... [--user UID] [--env K=V]...

Each LAYER is a directory whose content becomes one layer, lowest first. The same content always gives the
same bytes: entries are sorted, owned by root and dated 1970, so unchanged layers are recognized as such.
"""
import argparse
import hashlib
import io
import json
import os
import tarfile
import tempfile

PATH = "PATH=/usr/local/bin:/usr/bin:/bin"


def normalized(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


def write_layer(root, directory):
    """Returns (path, digest) of the layer's tar."""
    path = os.path.join(directory, "layer")
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(os.listdir(root)):
            tar.add(os.path.join(root, name), arcname=name, filter=normalized)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    final = os.path.join(directory, digest)
    os.replace(path, final)
    return final, digest


def add_bytes(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("layers", nargs="+")
    parser.add_argument("--entrypoint", action="append")
    parser.add_argument("--user", default="")
    parser.add_argument("--env", action="append", default=[])
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(options.out))) as scratch:
        layers = [write_layer(root, scratch) for root in options.layers]
        config = json.dumps({
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"User": options.user, "Env": [PATH] + options.env, "Entrypoint": options.entrypoint,
                       "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest for _, digest in layers]},
        }).encode()
        config_name = hashlib.sha256(config).hexdigest() + ".json"
        manifest = [{"Config": config_name, "RepoTags": [options.name],
                     "Layers": [digest + "/layer.tar" for _, digest in layers]}]
        partial = os.path.join(scratch, "archive")
        with tarfile.open(partial, "w") as tar:
            for path, digest in layers:
                tar.add(path, arcname=digest + "/layer.tar", filter=normalized)
            add_bytes(tar, config_name, config)
            add_bytes(tar, "manifest.json", json.dumps(manifest).encode())
        os.replace(partial, options.out)


main()
