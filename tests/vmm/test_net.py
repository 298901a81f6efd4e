"""The network card with the distribution's driver, on a tap."""

import re
import socket
import threading

import pytest

import net
from guest import ENDS
from net import PEER, Tap

MODULES = ("virtio_pci", "virtio_net")
UP = """ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
"""
MB = 1 << 20


def powered_off(end):
    assert end.status == ENDS["powered-off"], end
    return end.serial


def serve(action, times=1):
    """A TCP server on the tap's address for `times` connections at once: (port, wait for what action returned for each)."""
    s = socket.create_server(("192.0.2.1", 0))
    results = []

    def one(c):
        with c:
            c.settimeout(300)
            results.append(action(c))

    def run():
        workers = []
        for _ in range(times):
            workers.append(threading.Thread(target=one, args=(s.accept()[0],), daemon=True))
            workers[-1].start()
        for w in workers:
            w.join(300)

    t = threading.Thread(target=run, daemon=True)
    t.start()

    def wait():
        t.join(300)
        s.close()
        return results

    return s.getsockname()[1], wait


def trade(n):
    """Sends n bytes of the pattern and reads n, both at once."""
    def action(c):
        sender = threading.Thread(target=c.sendall, args=(net.pattern(n),), daemon=True)
        sender.start()
        got = net.read_exactly(c, n)
        sender.join(300)
        return got
    return action


def test_the_guest_reaches_the_host_and_knows_its_card(boot):
    tap = Tap()
    end = boot(UP + """say ping $(ping -c 3 -W 10 192.0.2.1 | grep -o '[0-9]* packets received')
say card $(cat /sys/class/net/eth0/address) mtu $(cat /sys/class/net/eth0/mtu) $(cat /sys/class/net/eth0/operstate)
""", MODULES, devices=[tap.plan(mtu=1400)], fds=tap.fds)
    serial = powered_off(end)
    assert "ping 3 packets received" in serial, end
    assert re.search(r"card 02:00:5e:10:00:01 mtu 1400 (up|unknown)\b", serial), end  # never down


@pytest.mark.parametrize("offloads, n", [("on", 16 * MB), ("off", 2 * MB)])  # without, a frame is a kick or an interrupt: slow
def test_megabytes_pass_both_ways_whole(boot, offloads, n):
    tap = Tap()
    port, wait = serve(trade(n))
    off = "".join(f"say $(guest_peer feature eth0 {f} off)\n" for f in (
        "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-generic-segmentation", "tx-checksum-ip-generic", "rx-gro-hw", "rx-gro"))
    end = boot((off if offloads == "off" else "") + UP + f"say guest: $(guest_peer tcp connect 192.0.2.1 {port} trade {n})\n"
               "say errors $(cat /sys/class/net/eth0/statistics/rx_errors) frames $(cat /sys/class/net/eth0/statistics/tx_packets) "
               "$(cat /sys/class/net/eth0/statistics/rx_packets)\n",
               MODULES, [PEER], devices=[tap.plan()], fds=tap.fds, timeout=300)
    serial = powered_off(end)
    want = net.pattern(n)
    assert wait() == [want], end
    assert f"guest: {net.line(want, want)}" in serial, end
    assert "errors 0 " in serial, end
    frames = [int(w) for w in serial.split("frames ")[1].split()[:2]]
    if offloads == "on":  # frames of up to 64 KiB crossed the queues
        assert max(frames) < n / 1448 / 2, end
    else:
        assert "rx-gro-hw off" in serial and min(frames) > n / 1448, end


def test_two_queues_share_the_work_of_two_cpus(boot):
    tap = Tap(queues=2)
    n = 5 * MB
    port, wait = serve(trade(n), times=4)
    peer = f"guest_peer tcp connect 192.0.2.1 {port} trade {n}"
    end = boot(UP + f"""{peer} > /a & {peer} > /b & {peer} > /c &
{peer} > /d; wait
say guest: $(cat /a /b /c /d | sort | uniq -c)
say queues $(ls -d /sys/class/net/eth0/queues/tx-* | wc -l)
grep virtio0- /proc/interrupts | while read -r irq a b rest; do say "vector ${{rest##* }} $((a + b))"; done
""", MODULES, [PEER], cpus=2, devices=[tap.plan()], fds=tap.fds, timeout=300)
    serial = powered_off(end)
    want = net.pattern(n)
    assert wait() == [want] * 4, end
    assert f"guest: 4 {net.line(want, want)}" in serial, end
    assert "queues 2" in serial, end
    for i in range(2):  # both pairs were in use: the driver asked for two (VQ_PAIRS_SET), and both interrupted
        assert int(serial.split(f"vector virtio0-input.{i} ")[1].split()[0]) > 10, end


def test_a_card_s_rate_is_kept(boot):
    tap = Tap()
    n, rate = 4 * MB, 2 * MB
    port, wait = serve(lambda c: net.read_all(c))
    end = boot(UP + f"""start=$(cut -d' ' -f1 /proc/uptime)
say guest: $(guest_peer tcp connect 192.0.2.1 {port} send {n})
say took $start $(cut -d' ' -f1 /proc/uptime)
""", MODULES, [PEER], devices=[tap.plan(from_guest={"per_second": rate})], fds=tap.fds, timeout=120)
    serial = powered_off(end)
    assert wait() == [net.pattern(n)], end
    start, stop = (float(t) for t in serial.split("took ")[1].split()[:2])
    assert stop - start > (n - rate / 10) / rate * 0.9, end  # no upper bound: the machine may be slow
