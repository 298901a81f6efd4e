"""Terminals: sent over a console socket, or served by run and exec themselves."""

import fcntl
import os
import struct
import termios

import oci


def size_of(fd):
    return struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))[:2]


def test_create_sends_the_master_over_the_console_socket(runtime, box, bundle, console):
    bundle.config["process"].update(terminal=True, consoleSize={"height": 33, "width": 111})
    name = box.create(bundle.sh("tty; stty size; read x; echo got $x"), "--console-socket", console.path)
    master, message = console.take()
    assert message == b"/dev/ptmx" and size_of(master) == (33, 111)
    runtime.ok("start", name)
    assert b"/dev/pts/0" in oci.read_until(master, b"33 111")
    os.write(master, b"word\n")
    oci.read_until(master, b"got word")
    os.close(master)


def test_exec_sends_the_master_over_the_console_socket(runtime, box, bundle, console, tmp_path):
    name = box.start(bundle)
    runtime.ok("exec", "-d", "-t", "--console-socket", console.path, "--pid-file", tmp_path / "pid", name, "sh", "-c",
               "test -t 0 && echo a terminal && exit 3")
    master, _ = console.take()
    oci.read_until(master, b"a terminal")
    assert oci.reap(int((tmp_path / "pid").read_text())) == 3
    os.close(master)


def test_a_terminal_without_anyone_to_serve_it_is_refused(runtime, box, bundle):
    bundle.config["process"]["terminal"] = True
    bundle.save()
    runtime.fails("create", "--bundle", bundle.where, box.name(), says="cannot allocate tty")
    runtime.fails("run", "-d", "--bundle", bundle.where, box.name(), says="cannot allocate tty")


def test_a_console_socket_without_a_terminal_is_refused(runtime, box, bundle, console):
    runtime.fails("create", "--bundle", bundle.where, "--console-socket", console.path, box.name(),
                  says="cannot use console socket")


def test_a_console_socket_that_nobody_serves_fails_create_and_leaves_nothing(runtime, box, bundle, tmp_path):
    bundle.config["process"]["terminal"] = True
    name = box.name()
    runtime.fails("create", "--bundle", bundle.save().where, "--console-socket", tmp_path / "none", name, says="--console-socket")
    runtime.fails("state", name, says="does not exist")
    assert not oci.default_cgroups(name)


def test_run_serves_the_terminal_itself(runtime, box, bundle):
    bundle.config["process"]["terminal"] = True
    argv = runtime.argv("run", "--bundle", bundle.sh("echo ready; read x; echo got $x; exit 6").where, box.name())
    pid, master = oci.on_terminal(argv)
    oci.read_until(master, b"ready")
    os.write(master, b"word\r")
    oci.read_until(master, b"got word")
    assert oci.reap(pid) == 6
    os.close(master)


def test_exec_tty_follows_the_size_of_the_callers_terminal(runtime, box, bundle):
    name = box.start(bundle)
    argv = runtime.argv("exec", "-t", name, "sh", "-c", "trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.01; done")
    pid, master = oci.on_terminal(argv)
    oci.read_until(master, b"ready")
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 99, 0, 0))
    oci.read_until(master, b"41 99")
    assert oci.reap(pid) == 4
    os.close(master)


def test_all_output_arrives_before_the_end(runtime, box, bundle):
    bundle.config["process"]["terminal"] = True
    argv = runtime.argv("run", "--bundle", bundle.sh("seq 1 20000; echo the end").where, box.name())
    pid, master = oci.on_terminal(argv)
    got = oci.read_until(master, b"the end", patience=60)
    assert [int(n) for n in got.split()[:20000]] == list(range(1, 20001))
    assert oci.reap(pid) == 0
    os.close(master)
