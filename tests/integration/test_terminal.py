"""`-t`: a terminal of the container's own, its size, its keys, and how to leave it."""

from harness import Terminal

PROMPT = r"ready>"


def test_a_terminal_has_a_size_passes_keys_and_ends_with_the_code(box):
    t = box.terminal(*box.args("sh", opts=("-it", "--rm", "-e", f"PS1={PROMPT} ", "--name", box.name())), rows=40, cols=100)
    t.expect(PROMPT)
    t.send("stty size; test -t 0 -a -t 1 -a -t 2 && echo all-three-are\n")
    t.expect(r"^40 100\r")
    t.expect(r"^all-three-are\r")
    t.send("tty; echo term=$TERM\n")
    t.expect(r"^/dev/(pts/\d+|console)\r")
    t.expect(r"^term=xterm\r")
    t.expect(PROMPT)
    t.resize(17, 66)
    t.send("until stty size | grep '^17 66$'; do sleep 0.1; done\n")  # the new size takes its way through three processes
    t.expect(r"^17 66\r")
    t.expect(PROMPT)
    t.send("sh -c 'echo sleeping; exec sleep 1000'\n")  # its own word, since the shell's echo comes before the fork
    t.expect(r"^sleeping\r")
    t.send("\x03")
    t.expect(PROMPT)
    t.send("echo code $?\n")
    t.expect(r"^code 130\r")
    t.send("exit 5\n")
    assert t.wait() == 5


def test_a_terminal_has_its_makers_size_from_the_beginning(box):
    """Docker's ConsoleSize: also where nobody attaches, who would send it later."""
    name = box.name()
    t = box.terminal(*box.args("stty", "size", opts=("-t", "--name", name), verb="create"), rows=40, cols=100)
    assert t.wait() == 0
    box.berth.ok("start", name)
    assert box.berth.ok("wait", name) == "0"
    assert box.berth.ok("logs", name).strip() == "40 100"


def test_the_detach_keys_leave_it_running(box):
    name = box.name()
    t = box.terminal(*box.args("sh", opts=("-it", "-e", f"PS1={PROMPT} ", "--name", name)))
    t.expect(PROMPT)
    t.send("X=kept\n\x10\x11")
    assert t.wait() == 0
    assert box.berth.state(name)["Status"] == "running"
    t = box.terminal("attach", name)
    t.send("\necho X is $X\n")
    t.expect(r"^X is kept\r")
    t.send("exit 3\n")
    assert t.wait() == 3


def test_the_terminal_is_put_back_as_it_was(cbox):
    """Seen by running under a shell on the same terminal."""
    line = " ".join(cbox.berth.argv(*cbox.args("sh", "-c", "'exit 4'", opts=("-it", "--rm"))))
    t = Terminal(["/bin/sh", "-c", f"stty -a >/tmp/before.$$; {line}; echo code $?; stty -a | cmp - /tmp/before.$$ && echo same; "
                                   "rm /tmp/before.$$"])
    cbox.terminals.append(t)
    t.expect(r"^code 4\r")
    t.expect(r"^same\r")
    assert t.wait() == 0


def test_t_needs_a_terminal_for_stdin(cbox):
    err = cbox.berth.fails(*cbox.args("true", opts=("-it", "--rm")), input="")
    assert "terminal" in err.lower() or "tty" in err.lower()
