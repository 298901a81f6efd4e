"""Behaviour that one isolation does not have, and why. Every other parametrised test runs behind all of them."""

# (test, isolation, reason)
EXEMPTIONS = [
    ("test_the_host_network_is_the_hosts", "vm", "a guest has its own network stack: there is no namespace to share"),
    ("test_limits_are_read_back_from_the_cgroup", "vm", "the limit is the size of the machine, not a cgroup of the host"),
    ("test_R01_the_engines_binary_is_not_writable", "vm", "no binary of the host is inside the guest"),
    ("test_device_nodes_are_passed_and_guarded", "vm", "a guest has its own devices; host nodes mean nothing there"),
    ("test_pids_limit_holds", "vm", "the limit is the same code in the guest, and its fork storm is slow under emulation"),
    ("test_R28_a_fork_bomb_ends_at_the_limit_and_the_host_answers", "vm",
     "the limit is the same code in the guest, and its fork storm is slow under emulation"),
    ("test_R28_open_files_are_limited_whatever_the_callers_limit_is", "vm",
     "a guest's files are its own kernel's, whose limits the caller's do not reach"),
]


def reason(test: str, isolation: str):
    for name, which, why in EXEMPTIONS:
        if name == test and which == isolation:
            return why
    return None
