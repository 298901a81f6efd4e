"""The distribution's firewalls on a host of a test's own, with their settings as the packages have them."""

from host import Host

BUS = """<busconfig>
<type>system</type>
<listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
"""


def own_settings(host: Host, *names):
    """Directories of /etc, which the host then has for itself."""
    for name in names:
        host.ok("sh", "-c", f"cp -a /etc/{name} /run/etc-{name} && mount --bind /run/etc-{name} /etc/{name}")


class Ufw:
    def __init__(self, host: Host):
        self.host = host
        own_settings(host, "ufw", "default")

    def start(self):
        assert "active and enabled" in self.host.ok("ufw", "--force", "enable")

    def reload(self):
        assert "reloaded" in self.host.ok("ufw", "reload")

    def come_again(self):
        """After a flush of all rules."""
        self.reload()

    def stop(self):
        assert "stopped" in self.host.ok("ufw", "disable")

    def rules(self) -> list:
        return [self.host.ok(f"ip{v}tables", "-S") for v in ("", "6")]

    def end(self):
        """Nothing of it runs."""


class Firewalld:
    """On a bus of its own, which starts no service that is asked for."""

    def __init__(self, host: Host):
        self.host, self.daemon = host, None
        own_settings(host, "firewalld")
        (host.dir / "bus.conf").write_text(BUS)
        host.ok("mkdir", "/run/dbus")
        self.bus = host.daemon("dbus", "dbus-daemon", "--nofork", "--nopidfile", f"--config-file={host.dir}/bus.conf")
        self.bus.wait_for(lambda: host("test", "-S", "/run/dbus/system_bus_socket").code == 0)

    def start(self):
        self.daemon = self.host.daemon("firewalld", "firewalld", "--nofork", "--nopid")
        self.daemon.wait_for(lambda: self.host("firewall-cmd", "--state").out == "running\n")

    def reload(self):
        self.host.ok("firewall-cmd", "--reload")

    def come_again(self):
        """After a flush of all rules: it can't reload without its own."""
        self.stop()
        self.start()

    def stop(self):
        self.daemon.stop()
        self.daemon = None

    def rules(self) -> str:
        return self.host.ok("nft", "-s", "list", "table", "inet", "firewalld")

    def end(self):
        if self.daemon:
            self.stop()
        self.bus.stop()
