"""A terminal as a person sees it: tmux draws what a command writes, and what stands on the screen is read back."""

import os
import shlex
import subprocess
import time
import uuid

from harness import PATIENCE


class Screen:
    """A shell in a window of a tmux server of its own."""

    def __init__(self, columns=80, rows=24):
        self.socket = f"berth-test-{uuid.uuid4().hex[:12]}"
        env = {k: v for k, v in os.environ.items() if k not in ("TMUX", "NO_COLOR")}
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "env", "PS1=person> ", "ENV=", "HISTFILE=", "sh", env=env)
        self.until("person>")

    def _tmux(self, *args, **kw):
        done = subprocess.run(["tmux", "-L", self.socket, *args], capture_output=True, text=True, timeout=60, **kw)
        assert done.returncode == 0, f"tmux {' '.join(args)}: {done.stderr}"
        return done.stdout

    def type(self, argv):
        """A command line, and Enter."""
        self.keys(argv if isinstance(argv, str) else " ".join(shlex.quote(str(a)) for a in argv), "Enter")

    def keys(self, *keys):
        """Text, or names of keys: Enter, C-c."""
        for key in keys:
            self._tmux("send-keys", *(() if key in ("Enter", "Escape") or key.startswith("C-") else ("-l",)), key)

    def resize(self, columns, rows):
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def lines(self):
        return self._tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def history(self):
        """All that has been on it, what was scrolled away included."""
        return self._tmux("capture-pane", "-p", "-S", "-").rstrip("\n").split("\n")

    def cursor_is_shown(self):
        return self._tmux("display-message", "-p", "#{cursor_flag}").strip() == "1"

    def until(self, what, timeout=120):
        """Waits until a text stands on the screen, or a function of its lines is true; the lines."""
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            lines = self.lines()
            if what(lines) if callable(what) else any(what in line for line in lines):
                return lines
            assert time.monotonic() < deadline, f"never seen: {what}; the screen shows:\n" + "\n".join(lines)
            time.sleep(0.05)

    def close(self):
        self._tmux("kill-server")
