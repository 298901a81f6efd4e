/* FRAME_RESTORE's document, and names in files. */
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "tap.h"

static void is_replaced(const char *text, const char *want)
{
	_cleanup_free_ char *got = guest_replace_word(text, "old", "newer");

	is_str(got, want);
}

TEST(only_whole_words_are_replaced)
{
	is_replaced("127.0.1.1\told\n", "127.0.1.1\tnewer\n");
	is_replaced("old old\nolder bold old#x\n", "newer newer\nolder bold newer#x\n");
	is_replaced("old", "newer");
	is_replaced("", "");
	_cleanup_free_ char *same = guest_replace_word("a b", "", "x"); /* no name, no change */
	is_str(same, "a b");
}

TEST(an_identity_is_whole_or_refused)
{
	static const char good[] =
		"{\"time_ns\":5,\"entropy\":\"AAAA\",\"machine_id\":\"0123456789abcdef0123456789abcdef\","
		"\"boot_id\":\"01234567-89ab-4def-8123-456789abcdef\","
		"\"interfaces\":[{\"name\":\"eth0\",\"mac\":\"02:42:01:02:03:04\",\"addresses\":[\"10.1.0.2/16\"]}]}";
	static const char no_mac[] = "{\"time_ns\":5,\"entropy\":\"\",\"machine_id\":\"0123456789abcdef0123456789abcdef\","
				     "\"boot_id\":\"01234567-89ab-4def-8123-456789abcdef\",\"interfaces\":[{\"name\":\"eth0\"}]}";
	static const char *const bad[] = { "{}", "[]", "{\"time_ns\":5}",
					   "{\"time_ns\":5,\"entropy\":\"\",\"machine_id\":\"0\",\"boot_id\":\"1\"}", no_mac };
	struct guest_identity id;
	struct err e = { 0 };

	is_int(guest_identity_parse(good, sizeof(good) - 1, &id, &e), 0);
	ok(!id.hostname && id.time_ns == 5 && id.n_interfaces == 1);
	_cleanup_json_ struct json_object *o = guest_identity_json(&id);
	guest_identity_done(&id);
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	is_int(guest_identity_parse(text, strlen(text), &id, &e), 0);
	is_str(id.interfaces[0].mac, "02:42:01:02:03:04");
	is_str(id.interfaces[0].addresses[0], "10.1.0.2/16");
	guest_identity_done(&id);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ok(guest_identity_parse(bad[i], strlen(bad[i]), &id, &e) < 0);
}

/* ---- in namespaces ---- */

static void put(const char *path, const char *text) { is_int(file_replace(AT_FDCWD, path, text, strlen(text), 0644, false), 0); }

static void holds(const char *path, const char *want)
{
	_cleanup_free_ char *text = NULL;

	is_int(file_read(AT_FDCWD, path, 4096, &text, NULL), 0);
	is_str(text, want);
}

/* A root of our own, as a guest's container has one; what is written stays in it. */
static void own_root(void)
{
	static const char dir[] = "/tmp"; /* covered in this namespace only */

	if (unshare(CLONE_NEWNS | CLONE_NEWUTS) < 0)
		skip("no namespaces of our own");
	is_int(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	is_int(mount("tmpfs", dir, "tmpfs", 0, NULL), 0);
	is_int(chdir(dir), 0);
	is_int(mkdir("proc", 0755) | mkdir("etc", 0755), 0);
	is_int(mount("/proc", "proc", NULL, MS_BIND | MS_REC, NULL), 0);
	/* The root of the namespace, not only of this process: who joins the namespace must never find the host's files. */
	is_int((int)syscall(SYS_pivot_root, ".", "."), 0);
	is_int(umount2(".", MNT_DETACH), 0);
	is_int(chdir("/"), 0);
	is_int(access("/usr", F_OK), -1);
	put("/etc/hostname", "old\n");
	put("/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\told # mine\n");
	is_int(sethostname("old", 3), 0);
}

/* The container: a process in further namespaces. */
static pid_t inner(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if (unshare(CLONE_NEWNS | CLONE_NEWUTS) == 0)
			raise(SIGSTOP);
		pause();
		_exit(0);
	}
	is_int(waitpid(pid, NULL, WUNTRACED), pid); /* stands still, as when it is frozen */
	return pid;
}

static void in_namespaces(const char *machine_id, const char *machine_id_then)
{
	struct guest_identity id = { .hostname = (char[]){ "new" },
				     .machine_id = (char[]){ "0123456789abcdef0123456789abcdef" },
				     .boot_id = (char[]){ "01234567-89ab-4def-8123-456789abcdef" } };
	char name[65] = "", path[80];
	struct err e = { 0 };
	pid_t pid;

	own_root();
	if (machine_id)
		put("/etc/machine-id", machine_id);
	pid = inner();
	if (guest_identity_names(&id, pid, &e) < 0)
		TAP_FAIL("%s", e.msg);
	holds("/etc/hostname", "new\n");
	holds("/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tnew # mine\n");
	if (machine_id_then)
		holds("/etc/machine-id", machine_id_then);
	else
		is_int(access("/etc/machine-id", F_OK), -1);
	snprintf(path, sizeof(path), "/proc/%d/root/proc/sys/kernel/random/boot_id", (int)pid);
	holds(path, "01234567-89ab-4def-8123-456789abcdef\n");
	is_int(gethostname(name, sizeof(name)), 0);
	is_str(name, "old"); /* the agent's own stays */
	snprintf(path, sizeof(path), "/proc/%d/ns/uts", (int)pid);
	_cleanup_fd_ int ns = open(path, O_RDONLY | O_CLOEXEC);
	is_int(setns(ns, CLONE_NEWUTS), 0);
	is_int(gethostname(name, sizeof(name)), 0);
	is_str(name, "new");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST(a_copy_has_new_names_in_its_containers_namespaces)
{
	in_namespaces("ffffffffffffffffffffffffffffffff\n", "0123456789abcdef0123456789abcdef\n");
}
TEST(a_machine_id_that_is_not_there_or_empty_stays_so)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		in_namespaces(NULL, NULL);
		_exit(0);
	}
	is_int(waitpid(pid, &status, 0), pid);
	is_int(status, 0);
	in_namespaces("", "");
}

TAP_MAIN()
