#!/usr/bin/python3
"""A made-up CRIU: `criu swrk FD` and `criu check`, as berth-runtime speaks with them (images/rpc.proto of CRIU). What it is asked goes
to $FAKE_CRIU_LOG as JSON; how it answers is $FAKE_CRIU:
  ok     saves (kills the process) or restores (makes a `sleep`)
  old    is version 3.12
  no     fails, and says why in its log
  die    freezes the cgroup and ends midway
  mute   answers nothing sensible"""

import array
import ctypes
import json
import os
import signal
import socket
import sys
import time

DUMP, RESTORE, NOTIFY, VERSION, PRE_DUMP = 1, 2, 6, 10, 13
how = os.environ.get("FAKE_CRIU", "ok")


def varint(v):
    out = b""
    v &= (1 << 64) - 1
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def put(field, v):
    if isinstance(v, int):
        return varint(field << 3) + varint(v)
    v = v.encode() if isinstance(v, str) else v
    return varint(field << 3 | 2) + varint(len(v)) + v


def get(data):
    """[(field, number or bytes)]"""
    at, found = 0, []

    def read():
        nonlocal at
        v = shift = 0
        while True:
            b = data[at]
            at += 1
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v

    while at < len(data):
        key = read()
        v = read()
        if key & 7 == 2:
            v, at = data[at:at + v], at + v
        found.append((key >> 3, v))
    return found


MESSAGES = (11, 23, 25, 27, 39)  # of criu_opts


def readable(opts):
    """{field: [values]}: messages as lists of their values"""
    out = {}
    for field, v in opts:
        if isinstance(v, bytes):
            v = [x.decode() if isinstance(x, bytes) else x for _, x in get(v)] if field in MESSAGES else v.decode()
        out.setdefault(field, []).append(v)
    return out


def answer(sock, kind, success, *more):
    sock.send(put(1, kind) + put(2, success) + b"".join(more))


def notify(sock, script, pid=None, fd=None):
    message = put(1, NOTIFY) + put(2, 1) + put(5, put(1, script) + (put(2, pid) if pid else b""))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd is not None else []
    sock.sendmsg([message], rights)
    return dict(get(sock.recv(65536))).get(3) == 1


def sibling():
    CLONE_PARENT, SYS_clone = 0x8000, {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    pid = ctypes.CDLL(None).syscall(SYS_clone, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os.execv("/bin/sleep", ["sleep", "1000"])
    return pid


def told(request, opts):
    with open(os.environ["FAKE_CRIU_LOG"], "a") as log:
        log.write(json.dumps({"type": request, "opts": opts, "cgroup": open("/proc/self/cgroup").read(),
                              "root": sorted(os.listdir(opts[13][0])) if 13 in opts else None}) + "\n")


def write_log(opts, text):
    fd = opts.get(17, opts[1])[0]
    with open(f"/proc/{os.getppid()}/fd/{fd}/{opts[10][0]}", "a") as log:
        log.write(text)


def dump(sock, opts):
    frozen = opts.get(44)
    if how == "die":
        name = "cgroup.freeze" if os.path.exists(f"{frozen[0]}/cgroup.freeze") else "freezer.state"
        with open(f"{frozen[0]}/{name}", "w") as f:
            f.write("1" if name == "cgroup.freeze" else "FROZEN")
        sys.exit(1)
    if how == "ok":
        notify(sock, "post-dump")
        if 3 not in opts and 13 in opts:
            os.kill(opts[2][0], signal.SIGKILL)
            while os.path.exists(f"/proc/{opts[2][0]}/root/bin"):
                time.sleep(0.01)
    return how == "ok"


def restore(sock, opts):
    pid = sibling()
    done = how == "ok" and notify(sock, "setup-namespaces", pid) and notify(sock, "post-restore", pid)
    if not done:
        os.kill(pid, signal.SIGKILL)
    return done


def main():
    if sys.argv[1] == "check":
        sys.stderr.write("Error (criu/x.c:1): no such luck\n")
        return os.environ.get("FAKE_CRIU_CHECK") == "no"
    sock = socket.socket(fileno=int(sys.argv[2]))
    while True:
        data = sock.recv(65536)
        if not data:  # who is too old is asked nothing more
            return 0
        request = get(data)
        kind = dict(request).get(1)
        opts = readable(get(dict(request)[2])) if 2 in dict(request) else {}
        if how == "mute":
            sock.send(b"\xff")
            return 1
        if kind == VERSION:
            answer(sock, VERSION, 1, put(10, put(1, 3) + put(2, 12 if how == "old" else 17) + put(4, 1)))
            continue
        told(kind, opts)
        if how == "no":
            write_log(opts, "(00.1) Warn  (criu/y.c:9): so what\n(00.2) Error (criu/y.c:10): the cause\n(00.3) Error (criu/z.c:2): the end\n")
        done = restore(sock, opts) if kind == RESTORE else dump(sock, opts)
        answer(sock, kind, done)
        return 0


sys.exit(main())
