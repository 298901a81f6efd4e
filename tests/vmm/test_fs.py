"""Shared directories, as the distribution's kernel uses them: what holds in a share (the table in docs/VOLUMES.md), live, both ways."""

import fcntl
import os
import socket
import subprocess
import time

import pytest

import guest
from guest import ENDS

TOOL = guest.BUILD / "tests/tools/guest_files"
SERVER = guest.BUILD / "src/main/berth-fs"
MODULES = ("virtio_pci", "virtiofs")
# nodev: as the agent mounts it (guest/root.c)
MOUNT = "mount -t virtiofs -o nodev share /mnt || say no mount\ncd /mnt || say no directory\n"


class Share:
    """A berth-fs at work on a tree of a test's own, staged as isolation/vm_shares.c does. `device` and `fd` are for berth-vmm."""

    def __init__(self, tree, read_only=()):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        binds = "".join(f"mount --bind {p} {p} && mount -o remount,bind,ro {p} && " for p in read_only)
        stage = f"mount --make-rprivate / && mount --rbind {tree} {tree} && {binds} exec {SERVER} --trap 3<&{theirs.fileno()} 4<{tree}"
        self.process = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", stage], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, pass_fds=[theirs.fileno()], env=guest.environment(), text=True)
        theirs.close()
        self.fd = ours.detach()
        self.device = {"fs": {"tag": "share", "fd": self.fd}}

    def end(self):
        """It has ended by itself, or is ended now: what it said."""
        try:
            return self.process.communicate(timeout=10 * guest.PATIENCE)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "still running: " + self.process.communicate()[1]


@pytest.fixture
def tree(tmp_path):
    d = tmp_path / "tree"
    d.mkdir()
    return d


@pytest.fixture
def share(boot, tree):
    """share(script, ...) -> (the VM or its end, the server): a guest that has the tree at /mnt."""
    servers = []

    def run(script, read_only=(), more_fds=(), **more):
        servers.append(Share(tree, read_only))
        return boot(MOUNT + script, modules=MODULES, programs=[TOOL], fds=[servers[-1].fd, *more_fds], devices=[servers[-1].device], **more), servers[-1]

    yield run
    for s in servers:
        if s.process.poll() is None:
            s.process.kill()
            s.process.communicate()


def test_the_table_of_what_holds(share, tree):
    (tree / "host").write_text("from the host\n")
    (tree / "one").write_text("1")
    (tree / "two").write_text("2")
    (tree / "big").write_bytes(os.urandom(3 << 20))
    os.link(tree / "host", tree / "host2")
    os.chown(tree / "host", 1234, 2345)
    os.mkfifo(tree / "fifo")
    os.mknod(tree / "null", 0o020666, os.makedev(1, 3))
    (tree / "link").symlink_to("../outside")
    (tree.parent / "outside").write_text("not in the share\n")
    for i in range(300):
        (tree / f"many{i}").touch()
    end, server = share(r"""say read $(cat host), $(sha256sum <big | head -c 16), $(ls | grep -c many)
say owner $(stat -c %u:%g:%a:%h host)
mkdir dir && cd dir
umask 022; echo written >new; chown 11:22 new; chmod 6755 new; say new $(stat -c %u:%g:%a new)
cp new bits; chmod 6755 bits; chown 5:5 bits; say chown-takes $(stat -c %a bits)
chmod 6777 bits; guest_files as 6 sh -c 'echo x >>bits'; say write-takes $(stat -c %a bits)
umask 077; echo private >private; umask 022; say private $(guest_files as 6 cat private 2>&1), $(guest_files as 0 cat private)
mkdir public; chmod 1777 public; guest_files as 6 sh -c 'echo mine >public/f; mkdir public/d'; say made-by $(stat -c %u:%g public/f public/d)
say sticky $(guest_files as 7 rm -f public/f 2>&1)
echo text >a; ln a b; mv b c; say links $(stat -c %h a) $(cat c); ln -s a s; say readlink $(readlink s) $(cat s)
mkfifo p && say fifo $(stat -c %F p)
say device $(guest_files mknod d)
say nodev $(head -c 1 ../null 2>&1 | tail -n 1)
guest_files set a user.k value; say xattr $(guest_files get a user.k), $(guest_files set a trusted.k v)
dd if=/dev/zero of=m bs=4096 count=1 2>/dev/null; say mmap $(guest_files map m mapped-by-the-guest), $(head -c 19 m)
say exchange $(guest_files exchange ../one ../two; cat ../one ../two)
say copy $(guest_files copy ../host copied; cat copied)
dd if=/dev/urandom of=h bs=64k count=4 2>/dev/null; say $(guest_files hole h)
truncate -s 5 h; say size $(stat -c %s h)
touch -d @1234567 h; say time $(stat -c %Y h)
echo one >ap; exec 5>>ap; echo two >>ap; echo three >&5; exec 5>&-; say append $(cat ap)
guest_files watch a 1500 >w & sleep 0.5; echo more >>a; wait; say inotify $(tail -n 1 w)
rm -r ../many1 s && say gone $(ls ../many1 s 2>&1 | grep -c 'No such')
say escape $(cat ../link 2>&1)
exec 5>>u; rm u; echo still >&5; exec 5>&-; say unlinked fine
dd if=/dev/urandom of=../large bs=1M count=8 conv=fsync 2>/dev/null; say sum $(sha256sum <../large | head -c 16)
say df $(df -k . | grep -c share)
sync; cd /; umount /mnt && say unmounted
mount -t virtiofs share /mnt && say again $(cat /mnt/host) && umount /mnt
""")
    assert end.status == ENDS["powered-off"], end
    sums = {n: subprocess.check_output(["sha256sum", tree / n], text=True)[:16] for n in ("big", "large")}
    wants = (f"read from the host, {sums['big']}, 300", "owner 1234:2345:644:2", "new 11:22:6755", "links 2 text", "readlink a text", "fifo fifo",
             "device mknod: Operation not permitted", "nodev head: ../null: Permission denied", "chown-takes 755", "write-takes 777",
             "private cat: can't open 'private': Permission denied, private", "made-by 6:6 6:6",
             "sticky rm: can't remove 'public/f': Operation not permitted", "xattr value, setxattr: Operation not supported",
             "mmap mapped, mapped-by-the-guest", "exchange 21", "copy copied 14 from the host", "hole 65536 data 131072", "size 5", "time 1234567",
             "append one two three", "inotify event", "gone 2", "escape cat: can't open '../link': No such file or directory", "unlinked fine",
             f"sum {sums['large']}", "df 1", "unmounted", "again from the host")
    print(end.serial)
    assert [w for w in wants if w not in end.serial] == []
    st = os.stat(tree / "dir/new")
    assert (st.st_uid, st.st_gid, st.st_mode & 0o7777) == (11, 22, 0o6755)
    st = os.stat(tree / "dir/public/f")
    assert (st.st_uid, st.st_gid) == (6, 6)
    assert (tree / "dir/m").read_bytes().startswith(b"mapped-by-the-guest")
    assert os.stat(tree / "dir/a").st_ino == os.stat(tree / "dir/c").st_ino
    assert os.getxattr(tree / "dir/a", "user.k") == b"value"
    assert not (tree / "dir/d").exists() and os.stat(tree / "dir/h").st_size == 5
    assert server.end() == "", "it ends with the VM, and says nothing"


def test_what_one_side_does_the_other_sees(share, tree):
    (tree / "f").write_text("first\n")
    (tree / "m").write_bytes(b"before" + bytes(4090))
    vmm, server = share(r"""await() { until [ -e "$1" ]; do sleep 0.05; done; }
say one $(cat f); touch step1; await step2
say two $(cat f) $(ls new); say map $(guest_files show m)
exec 7>w; echo not closed >&7; touch step3; await step4; exec 7>&-
exec 5<f; touch step3b; await step4b
say same-handle $(cat <&5); exec 5<&-
guest_files lock f <fifo & exec 6>fifo; sleep 0.3; touch locked; await tried; exec 6>&-; wait
touch unlocked; await host-lock
say host-has $(guest_files trylock f) $(guest_files tryflock f)
(guest_files waitlock f >w1; touch w1-done) & (guest_files waitflock f >w2; touch w2-done) &
sleep 0.3; touch waiting; await w1-done; await w2-done; say waited $(cat w1 w2)
guest_files watch f 1500 >watch & sleep 0.5; touch watching; wait; say inotify $(tail -n 1 watch)
cd /; umount /mnt
""", wait=False)
    os.mkfifo(tree / "fifo")

    def await_(name):
        deadline = time.monotonic() + 60 * guest.PATIENCE
        while not (tree / name).exists():
            assert vmm.process.poll() is None and time.monotonic() < deadline, vmm.wait(1)
            time.sleep(0.05)

    def taken(flag):
        with open(tree / "f", "r+") as f:
            try:
                fcntl.lockf(f, flag | fcntl.LOCK_NB)
                return False
            except OSError:
                return True

    await_("step1")
    (tree / "f").write_text("second, longer\n")
    with open(tree / "m", "r+b") as f:
        f.write(b"after!")
    (tree / "new").touch()
    (tree / "step2").touch()
    await_("step3")
    assert (tree / "w").read_text() == "not closed\n", "what a write has returned for is the host's"
    (tree / "step4").touch()
    await_("step3b")
    with open(tree / "f", "r+") as f:
        f.write("third\n")
        f.truncate()
    (tree / "step4b").touch()
    await_("locked")
    assert taken(fcntl.LOCK_EX), "the guest's POSIX lock holds on the host"
    (tree / "tried").touch()
    await_("unlocked")
    assert not taken(fcntl.LOCK_EX)
    with open(tree / "f", "r+") as posix, open(tree / "f", "r+") as bsd:
        fcntl.lockf(posix, fcntl.LOCK_EX)
        fcntl.flock(bsd, fcntl.LOCK_EX)
        (tree / "host-lock").touch()
        await_("waiting")
        assert not (tree / "w1-done").exists() and not (tree / "w2-done").exists()
    await_("watching")
    (tree / "f").write_text("changed by the host\n")
    end = vmm.wait()
    assert end.status == ENDS["powered-off"], end
    for want in ("one first", "two second, longer new", "map after!", "same-handle third", "host-has taken taken", "waited locked locked",
                 "inotify nothing"):
        assert want in end.serial, (want, str(end))
    assert server.end() == ""


def test_a_read_only_share_stays_so_whatever_the_guest_does(share, tree):
    ro = tree / "ro"
    ro.mkdir()
    (ro / "f").write_text("mine\n")
    end, server = share("""cat ro/f >/dev/null && touch rw || say not even that
for c in 'touch ro/new' 'rm ro/f' 'chmod 777 ro/f' 'mv ro/f g' 'ln ro/f ro/g' 'mkdir ro/d' 'guest_files set ro/f user.x y'; do $c 2>&1 | grep -q -i read-only || say "$c: done"; done
mount -o remount,rw /mnt; echo x >ro/f 2>/dev/null || say held
cd /; umount /mnt
""", read_only=[ro])
    assert end.status == ENDS["powered-off"] and "held" in end.serial and ": done" not in end.serial, end
    assert (ro / "f").read_text() == "mine\n" and os.listdir(ro) == ["f"] and (tree / "rw").exists()
    assert server.end() == ""


def test_when_the_server_is_killed_the_guest_gets_errors_and_lives(share, tree):
    (tree / "f").write_text("text\n")
    vmm, server = share("""say up $(cat f)
while cat f >/dev/null 2>&1; do sleep 0.1; done
say error $(cat f 2>&1)
say other $(ls / | wc -l)
""", wait=False)
    vmm.expect("up text")
    server.process.kill()
    end = vmm.wait()
    assert end.status == ENDS["powered-off"] and ("I/O error" in end.serial or "Input/output error" in end.serial), end
    assert "share: the file server has ended: from here on the guest gets I/O errors" in end.said, end


def test_when_the_vmm_is_killed_the_server_ends(share, tree):
    vmm, server = share("say up; sleep 100", wait=False)
    vmm.expect("up")
    vmm.process.kill()
    assert server.process.wait(10 * guest.PATIENCE) == 0
    vmm.wait()


def test_a_vm_with_shares_refuses_to_be_saved_and_goes_on(share, tree, tmp_path):
    ours, theirs = socket.socketpair()
    ours.settimeout(60 * guest.PATIENCE)
    vmm, _ = share("say up; until [ -e go ]; do sleep 0.1; done; say went on", wait=False, more_fds=[theirs.fileno()], control_fd=theirs.fileno())
    theirs.detach()
    vmm.expect("up")
    files = [os.open(tmp_path / n, os.O_RDWR | os.O_CREAT, 0o600) for n in ("state", "ram")]
    socket.send_fds(ours, [b'{"do": "snapshot"}\n'], files)
    answer = ours.recv(65536).decode()
    assert '"ok":false' in answer.replace(" ", "") and "can't be saved" in answer, answer
    (tree / "go").touch()
    end = vmm.wait()
    assert end.status == ENDS["powered-off"] and "went on" in end.serial, end
    assert [os.fstat(f).st_size for f in files] == [0, 0]
    for f in files:
        os.close(f)
