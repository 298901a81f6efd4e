#!/usr/bin/env python3
"""How long it takes until an image from a registry on loopback is pulled and unpacked, side by side with the peers.

The image is made of this host's own files (folders below /usr), one layer each. Every run begins with an empty store, and with
nothing waiting to be written to the disk. berth-transfer's time ends after its syncfs: the image is durable; the peers' is not.
Prints Markdown for docs/PERFORMANCE.md. Needs root, docker-registry, and whichever of skopeo with umoci, and podman, are to be
compared with."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers import TOP, machine, need, table
from results import Results

sys.path.insert(0, str(TOP / "tests" / "integration"))
from registry_tools import Image, Registry, digest, OCI_LAYER  # noqa: E402  pylint: disable=wrong-import-position

FOLDERS = ["/usr/lib/python3", "/usr/lib/git-core", "/usr/share/perl", "/usr/share/doc", "/usr/lib/x86_64-linux-gnu/perl", "/usr/bin"]


def make_image(compression, limit):
    """A layer a folder, at most `limit` MB of files each."""
    image = Image([], compression="none")
    kind = {"gzip": ["gzip", "-6"], "zstd": ["zstd", "-3", "-q"]}[compression]
    for folder in FOLDERS:
        if not os.path.isdir(folder):
            continue
        names, size = [], 0
        for here, _, files in os.walk(folder):
            names.append(here)
            for f in sorted(files):
                path = os.path.join(here, f)
                if os.path.islink(path) or os.path.isfile(path):
                    size += os.lstat(path).st_size
                    if size > limit << 20:
                        break
                    names.append(path)
        tar = subprocess.run(["tar", "-c", "--no-recursion", "--numeric-owner", "-P", "--transform=s,^/,,", "-T", "-"],
                             input="\n".join(names).encode(), stdout=subprocess.PIPE, check=True).stdout
        packed = subprocess.run(kind, input=tar, stdout=subprocess.PIPE, check=True).stdout
        image.blobs[digest(packed)] = packed
        image.layers.append({"mediaType": f"{OCI_LAYER}+{compression}", "size": len(packed), "digest": digest(packed)})
        image.diffs.append(tar)
    del image.blobs[digest(image.config)]
    image.config = Image(image.diffs, compression="none").config
    image.blobs[digest(image.config)] = image.config
    image.document["config"].update(size=len(image.config), digest=digest(image.config))
    return image


def run(*argv):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, argv[:3]))}: exit {done.returncode}: {done.stdout[-500:]}")


def berth(build, ref, store):
    run(build / "src/main/berth-transfer", "pull", ref, "--root", store, "--quiet")


def skopeo_umoci(_build, ref, store):
    run("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{ref}", f"oci:{store}/oci:it")
    run("umoci", "unpack", "--image", f"{store}/oci:it", f"{store}/bundle")


def podman(_build, ref, store):
    run("podman", "--root", f"{store}/root", "--runroot", f"{store}/run", "--storage-driver", "overlay", "pull", "-q", "--tls-verify=false", ref)


PEERS = {"berth": (berth, "`berth-transfer pull`", []), "skopeo": (skopeo_umoci, "`skopeo copy` + `umoci unpack`", ["skopeo", "umoci"]),
         "podman": (podman, "`podman pull`", ["podman"])}


def clean(store):
    overlay = Path(store) / "root" / "overlay"
    if os.path.ismount(overlay):
        subprocess.run(["umount", overlay], check=True)
    shutil.rmtree(store, ignore_errors=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", type=Path, default=TOP / "build", help="Berth's build directory")
    ap.add_argument("--runs", type=int, default=5)
    ap.add_argument("--peers", default="berth,skopeo,podman")
    ap.add_argument("--compression", choices=["gzip", "zstd"], default="gzip")
    ap.add_argument("--limit", type=int, default=60, metavar="MB", help="of each layer")
    ap.add_argument("--require", action="store_true", help="fail unless berth is at least as fast as each peer")
    Results.option(ap)
    args = ap.parse_args()
    results = Results(args.results)
    names = args.peers.split(",")
    for name in names:
        for program in PEERS[name][2]:
            need(program)
    times = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="berth-bench-", dir="/var/tmp") as folder:
        registry = Registry(Path(folder) / "registry")
        try:
            image = make_image(args.compression, args.limit)
            ref = registry.push(image, "bench/image")
            for _ in range(args.runs):
                for name in names:
                    store = Path(folder) / f"store-{name}"
                    store.mkdir()
                    os.sync()
                    began = time.perf_counter()
                    PEERS[name][0](args.build.resolve(), ref, store)
                    times[name].append((time.perf_counter() - began) * 1000)
                    clean(store)
        finally:
            registry.stop()
    print(f"Pull and unpack from a registry on loopback: {len(image.diffs)} layers, {sum(map(len, image.diffs)) >> 20} MiB of tar, "
          f"{sum(x['size'] for x in image.layers) >> 20} MiB {args.compression}; {args.runs} runs each, interleaved. {machine()}.\n")
    results.add("Images", f"pull.{args.compression}", f"Pull and unpack, {args.compression}", "ms", times, how="From a registry on loopback into an empty store; Berth's is durable at the end.")
    results.save()
    print(table({PEERS[n][1]: t for n, t in times.items()}, PEERS[names[0]][1]))
    median = {name: statistics.median(t) for name, t in times.items()}
    slower = [n for n in names if n != "berth" and "berth" in median and median[n] < median["berth"]]
    if args.require and slower:
        raise SystemExit(f"slower than: {', '.join(slower)}")


if __name__ == "__main__":
    main()
