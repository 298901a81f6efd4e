"""What withstands which fault, as claims; each names the points that show it. The last ones try a few points of each command, the same
ones each time, so that what one change is told of is the change's own; `./check faults-all` does all of them, in half an hour."""

import os
import re
import subprocess
import sys
from pathlib import Path

import engine
import pytest
import rootless

HERE = Path(__file__).resolve().parent
COMMANDS = ["create", "create-rich", "start", "exec", "exec-detach", "delete", "run", "run-detach"]
COMMANDS_ENGINE = ["run-d", "run-rm", "exec", "rm-f", "pod-create", "pod-run", "pod-join", "pod-start", "pod-rm",
                   "volume-create", "volume-rm", "run-volume", "run-own-volume"]
COMMANDS_ONE_BY_ONE = [c.name for c in engine.COMMANDS if c.name not in COMMANDS_ENGINE]
# Verbs without a sweep of their own, and why.
ELSEWHERE = {
    **dict.fromkeys(("vm inspect", "snapshot create", "snapshot ls", "snapshot inspect", "snapshot rm", "restore", "fork"),
                    "of berth-vmm's guests, which need KVM: killed at any moment by test_vm_kills.py and test_snapshot.py"),
    **dict.fromkeys(("kernel build", "kernel use", "kernel rm", "kernel inspect"), "of files of the host alone: test_kernel.py"),
    "search": "reads a registry and keeps nothing: test_search.py", "doctor": "looks at the host alone, and says what it can't read",
    "completion": "prints a text of its own", "compare": "made of the other verbs, each in a child: killed and stopped at any moment by test_compare.py",
}
SAMPLE = ["--sample", 25, "--seed", 1]


def sweep(*args):
    """Fails on whatever a sweep finds, and where it finds no point to try."""
    done = subprocess.run([sys.executable, str(HERE / "sweep"), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    assert done.returncode == 0, f"{' '.join(map(str, args))}\n{done.stdout[-6000:]}"


def test_F01_F06_F07_F08_no_fault_of_the_other_verbs_leaves_what_the_next_commands_do_not_remove():
    """All in one sweep: what they start from is made once. It takes longest, and so begins first."""
    sweep("--set", "engine", *[word for c in COMMANDS_ONE_BY_ONE for word in ("--command", c)], "--sample", 400, "--seed", 1)


def test_F01_who_is_killed_while_it_writes_a_file_leaves_no_half_one():
    sweep("--command", "create", "--pick", "^0:(openat|write|fchmod|linkat|renameat):.*:kill$")


def test_F15_a_cgroup_that_was_made_but_can_not_be_opened_is_removed():
    sweep("--command", "create", "--pick", "^0:(mkdir|openat):.*:EMFILE$")


def test_F01_a_process_killed_before_its_program_runs_is_no_success():
    sweep("--command", "exec-detach", "--pick", r"^0\.1\.1:.*:kill$")


def test_F01_F15_create_succeeds_only_when_somebody_waits_to_be_started():
    sweep("--command", "create", "--pick", r"^0\.2:(recvmsg|sendmsg|accept4):")


def test_F01_prune_removes_what_a_monitor_had_not_yet_made_its_run_directory():
    sweep("--set", "engine", "--command", "run-rm", "--pick", r"^0\.1:(mkdirat|getrandom|write|openat|renameat|renameat2):[1-8]:kill$")


def test_F07_a_container_whose_run_state_can_not_be_written_is_not_started():
    sweep("--set", "engine", "--command", "run-d", "--pick", r"^0\.1:(write|fchmod|renameat):\d+:(ENOSPC|EIO)$")


def test_F08_no_word_that_can_not_be_sent_leaves_a_start_waiting():
    sweep("--set", "engine", "--command", "run-rm", "--pick", r"^0\.1:(sendto|sendmsg):\d+:ENOMEM$")


def test_F08_a_network_that_can_not_be_made_ahead_or_left_again_is_the_starts_own_error_if_it_is_one():
    sweep("--set", "engine", "--command", "run-rm", "--pick", r":(setns|unshare):\d+:(EPERM|ENOMEM|kill)$")


def test_F08_a_record_that_can_not_be_looked_for_is_not_one_that_is_gone():
    sweep("--command", "run", "--pick", r"^0:faccessat2?:\d+:(ENOMEM|EIO)$")


def test_F08_output_that_can_not_be_read_or_watched_is_not_taken_for_its_end():
    sweep("--set", "engine", "--command", "run-rm", "--pick", r"^0\.1:(read:\d+:EIO|epoll_ctl:\d+:ENOMEM)$")


def test_F08_an_unpacker_that_can_not_be_heard_is_not_waited_for():
    sweep("--set", "engine", "--command", "pull", "--pick", r"^0\.1:read:\d+:ENOMEM$")


def test_F08_an_end_that_the_kernel_does_not_tell_is_an_error_with_its_reason():
    sweep("--set", "engine", "--command", "run-rm", "--pick", r":(wait4|waitid):\d+:ECHILD$")


def test_F08_output_that_the_client_can_not_wait_for_is_an_error():
    sweep("--set", "engine", "--command", "exec", "--pick", r"^0:(poll|recvfrom|write):\d+:(ENOMEM|EIO|ENOSPC)$")


def test_F08_a_sysfs_that_may_not_be_made_is_lent_and_no_other_file_system_is():
    sweep("--command", "create-rich", "--pick", r":(fsopen|fsmount):\d+:EPERM$")


@pytest.mark.parametrize("command", COMMANDS)
def test_F01_F08_no_fault_leaves_anything_behind_or_passes_for_success(command):
    sweep("--command", command, *SAMPLE)


@pytest.mark.parametrize("command", COMMANDS_ENGINE)
def test_F01_F05_F08_no_fault_leaves_what_the_next_commands_do_not_remove(command):
    sweep("--set", "engine", "--command", command, *SAMPLE)


def test_every_verb_has_a_sweep_or_a_reason_to_have_none():
    berth = Path(os.environ["BERTH_BUILD"]) / "src/main/berth"
    text = subprocess.run([berth, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    verbs = {" ".join(m[1].split()) for m in re.finditer(r"^  ([a-z]+(?: [a-z]+)?)  ", text, re.M)}
    assert len(verbs) > 60
    named = [c.name for c in engine.COMMANDS]
    swept = {v for v in verbs for n in named if (n + "-").startswith(v.replace(" ", "-") + "-")}
    assert verbs - swept == set(ELSEWHERE)


def test_F08_a_database_that_can_not_be_read_is_not_an_image_that_is_not_there():
    sweep("--set", "engine", "--command", "pull-again", "--pick", r"^0:(pread64|openat):\d+:(ENOMEM|EMFILE)$", "--sample", 40, "--seed", 1)


def test_F08_repair_sets_nothing_aside_that_could_not_be_read_for_a_reason_of_the_moment():
    sweep("--set", "engine", "--command", "system-repair", "--pick", r"^0:(openat2?|read):\d+:(ENOMEM|EMFILE|EINTR|EAGAIN)$", "--sample", 40,
          "--seed", 1)


def test_F08_a_look_below_that_fails_is_no_file_that_is_new():
    sweep("--set", "engine", "--command", "diff", "--pick", r"^0\.1:(fcntl|openat|newfstatat):\d+:ENOMEM$", "--sample", 30, "--seed", 1)


def test_F01_what_killed_writers_of_small_files_left_goes_with_the_next():
    for command, calls in (("tag", "fsync|fchmod|write|renameat"), ("login", "write|fchmod|fsync")):
        sweep("--set", "engine", "--command", command, "--pick", rf":({calls}):\d+:kill$", "--sample", 20, "--seed", 1)
    sweep("--set", "engine", "--command", "export", "--pick", r"^0:(mmap|write|linkat|fchmod):\d+:kill$", "--sample", 20, "--seed", 1)


def test_F01_F08_who_makes_a_user_s_namespaces_and_can_not_leaves_none():
    """The user's command (0), the process that makes them (0.1) and the one that holds them (0.1.1)."""
    sweep("--set", "rootless", "--command", "rootless-run", "--pick",
          r"^0(\.1(\.1)?)?:(clone3?|vfork|unshare|setns|setresuid|mount|socketpair|sendto|recvfrom|flock|unlink|renameat|fchmod):\d+:(kill|EPERM|ENOMEM|ENOSPC)$",
          "--sample", 60, "--seed", 1)
    sweep("--set", "rootless", "--command", "rootless-run", "--only", "0:renameat:1:kill")


def test_F01_what_carries_a_user_s_network_ends_with_him_also_where_nobody_could_wait_for_that():
    sweep("--set", "rootless", "--command", "rootless-network", "--pick", r":clone:\d+:(ENOMEM|kill)$")


@pytest.mark.parametrize("command", [c.name for c in rootless.COMMANDS])
def test_F01_F08_no_fault_of_a_user_s_commands_leaves_what_the_next_ones_do_not_remove(command):
    sweep("--set", "rootless", "--command", command, *SAMPLE)


def test_F08_namespaces_that_can_not_be_looked_for_are_not_made_a_second_time():
    sweep("--set", "rootless", "--command", "rootless-exec", "--pick", r"^0:(openat|read|getdents64|pidfd_open|pidfd_send_signal|setns):(\d|1\d):(EINTR|EIO|ENOMEM|EMFILE|EPERM)$")
