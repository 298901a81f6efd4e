"""A real browser without a window: headless Chromium, spoken with over the DevTools protocol on two pipes."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from harness import PATIENCE

ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
        "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"]


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="berth-browser-", dir="/var/tmp")
        theirs_in, self.out = self.pipe()
        self.inp, theirs_out = self.pipe()

        def place():  # they are to be 3 and 4
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        self.process = subprocess.Popen(["chromium", *ARGS, f"--user-data-dir={self.profile}", "about:blank"], preexec_fn=place,
                                        close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True, env={**os.environ, "HOME": self.profile, "TZ": "UTC"})
        os.close(theirs_in)
        os.close(theirs_out)
        self.last, self.rest, self.events, self.session = 0, b"", [], None
        targets = self("Target.getTargets")["targetInfos"]
        page = next(t for t in targets if t["type"] == "page")
        self.session = self("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    @staticmethod
    def pipe():
        """Both ends above the numbers that the browser's are to have."""
        ends = os.pipe()
        high = tuple(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in ends)
        for fd in ends:
            os.close(fd)
        return high

    def close(self):
        try:
            self.session = None
            self("Browser.close")
            self.process.wait(20 * PATIENCE)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.inp)
        os.close(self.out)
        for _ in range(50):  # its helpers end a little later
            shutil.rmtree(self.profile, ignore_errors=True)
            if not os.path.exists(self.profile):
                return
            time.sleep(0.1)

    def message(self, deadline) -> dict:
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.inp], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self.inp, 1 << 20) if ready else b""
            assert chunk, f"the browser says nothing (exit status {self.process.poll()})"
            self.rest += chunk
        text, _, self.rest = self.rest.partition(b"\0")
        return json.loads(text)

    def __call__(self, method, timeout=60, **params) -> dict:
        """The result of one command; events that come meanwhile are kept in .events."""
        self.last += 1
        text = json.dumps({"id": self.last, "method": method, "params": params, **({"sessionId": self.session} if self.session else {})})
        data = text.encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            m = self.message(deadline)
            if m.get("id") == self.last:
                assert "error" not in m, f"{method}: {m['error']}"
                return m["result"]
            self.events.append(m)

    def open(self, path, width, height, dark=False, mobile=False):
        """The page as it looks in a window of that size. What it complains of is in .complaints()."""
        self.events = []
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self("Page.navigate", url=f"file://{path}")
        deadline = time.monotonic() + 60 * PATIENCE
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.message(deadline))

    def evaluate(self, expression):
        r = self("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in r, r["exceptionDetails"]
        return r["result"].get("value")

    def complaints(self) -> list:
        """What it has written to its console, or could not load or would not apply."""
        self.evaluate("1")  # what has happened by now has been told
        return [e["params"] for e in self.events
                if e.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed")]

    def requests(self) -> list:
        return [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]

    def screenshot(self, path):
        """The whole page, however long."""
        size = self("Page.getLayoutMetrics")["cssContentSize"]
        r = self("Page.captureScreenshot", captureBeyondViewport=True,
                 clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})
        path.write_bytes(base64.b64decode(r["data"]))

    def pdf(self, path):
        path.write_bytes(base64.b64decode(self("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]))
