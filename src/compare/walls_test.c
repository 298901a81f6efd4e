/* The reader against answers that are as they should be and against each kind of wrong one; what is said of them; and processes of the test's own
 * as they are seen from outside. */
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "bpf.h"
#include "tap.h"
#include "walls.h"

#define HEX16 "00000000a80425fb"
#define HEX128                                                                                                                   \
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff000000000000000000000000000000000000000000000000000000" \
	"0000000000"
#define NONE128                                                                                                                  \
	"0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
	"0000000000"
#define NONE137 NONE128 "000000000"

static const char answer[] =
	"{\"schema\":\"berth.walls/1\",\"rights\":{\"uid\":0,\"gid\":0,\"capInheritable\":\"" HEX16 "\",\"capPermitted\":\"" HEX16
	"\",\"capEffective\":\"" HEX16 "\",\"capBounding\":\"" HEX16 "\",\"capAmbient\":\"" HEX16
	"\",\"noNewPrivs\":\"0\",\"seccomp\":\"2\",\"groups\":\"0\",\"uidMap\":[["
	"0,100000,65536]],\"gidMap\":[],\"limits\":{\"core\":-1}},"
	"\"namespaces\":{\"mnt\":1,\"net\":4026531840},"
	"\"kernel\":{\"release\":\"6.1\",\"version\":\"#1\",\"machine\":\"x86_64\",\"bootId\":\"here\","
	"\"hypervisor\":true,\"hypervisorName\":\"KVM\"},"
	"\"calls\":{\"exact\":true,\"x86_64\":{\"entry\":true,\"reached\":\"" HEX128 "\",\"killed\":\"" NONE128
	"\"},\"i386\":{\"entry\":true,\"reached\":\"" NONE128 "\",\"killed\":\"" NONE128
	"\"},\"x32\":{\"entry\":false,\"reached\":\"" NONE137 "\",\"killed\":\"" NONE137
	"\"},\"cases\":{\"socket-alg\":true,\"ioctl-tiocsti\":false}},"
	"\"devices\":{\"usable\":[{\"path\":\"/dev/"
	"null\",\"kind\":\"char\",\"major\":1,\"minor\":3,\"opened\":true}],\"count\":1,"
	"\"disk\":{\"major\":8,\"minor\":0,\"mknod\":\"\",\"open\":\"Operation not permitted\"}},"
	"\"writable\":{\"procSys\":{\"names\":[],\"count\":0,\"cut\":false},\"proc\":{\"names\":[\"/proc/"
	"x\"],\"count\":70,\"cut\":true},"
	"\"sys\":{\"why\":\"/sys: No such file or directory\"},\"dangerous\":[\"/proc/sysrq-trigger\"]},"
	"\"masks\":{\"/proc/kcore\":\"hidden\",\"/proc/keys\":\"readable\"},"
	"\"mounts\":{\"outside\":[{\"target\":\"/data\",\"type\":\"ext4\",\"source\":\"/dev/"
	"sda1\",\"root\":\"/srv\"}],\"outsideCount\":1,\"count\":9}}";

static struct walls_host host = { .boot_id = NULL, .namespaces = { [WALL_NS_NET] = 4026531840, [WALL_NS_MNT] = 2 } };
static char here[] = "here", elsewhere[] = "elsewhere";

static char *replaced(const char *what, const char *with)
{
	const char *at = strstr(answer, what);

	ok(at);
	return tap_keep(str_fmt("%.*s%s%s", (int)(at - answer), answer, with, at + strlen(what)));
}

static const char *said(const char *text, const char *id)
{
	static const struct walls_outside none;
	struct walls_inside w = { 0 };
	const struct walls_view v = { &w, &none, &host };
	struct err e = { 0 };
	char *s = NULL;

	if (walls_read(text, strlen(text), &w, &e) < 0)
		TAP_FAIL("%s", e.msg);
	for (size_t i = 0; i < n_wall_kinds; i++)
		if (streq(wall_kinds[i].id, id))
			s = wall_kinds[i].say(&v);
	walls_inside_done(&w);
	ok(s);
	return tap_keep(s);
}

TEST(each_wall_is_told_in_words)
{
	host.boot_id = here;
	is_str(said(answer, "kernel"), "the host's: 6.1");
	is_str(said(answer, "processor"), "tells of a hypervisor: KVM");
	is_str(said(answer, "calls.arguments"), "socket-alg");
	is_str(said(answer, "calls.abis"), "i386 closed, x32 not in this kernel");
	has_str(said(answer, "calls"), "256 of ");
	has_str(said(answer, "capabilities"), "14: CHOWN, ");
	is_str(said(answer, "user"), "0, on the host 100000");
	is_str(said(answer, "seals"), "seccomp filter, may gain privileges by exec");
	is_str(said(answer, "namespaces"), "net");
	is_str(said(answer, "devices"), "1: null");
	is_str(said(answer, "disk"), "refused at open: Operation not permitted");
	is_str(said(answer, "writable.proc_sys"), "0");
	is_str(said(answer, "writable.proc"), "70 or more: /proc/x ...");
	is_str(said(answer, "writable.sys"), "unknown: /sys: No such file or directory");
	is_str(said(answer, "writable.dangerous"), "/proc/sysrq-trigger");
	is_str(said(answer, "readable"), "/proc/keys");
	is_str(said(answer, "mounts"), "1: /data (ext4)");
	is_str(said(replaced("\"minor\":0,\"mknod\":\"\",\"open\":\"Operation not permitted\"",
			     "\"minor\":0,\"mknod\":\"\",\"open\":\"\""),
		    "disk"),
	       "opened: 8:0");
	is_str(said(replaced("[[0,100000,65536]]", "[[0,0,4294967295]]"), "user"), "0, on the host 0 (root)");
}

TEST(another_boot_is_another_kernel_which_shares_nothing)
{
	host.boot_id = elsewhere;
	is_str(said(answer, "kernel"), "its own: 6.1");
	is_str(said(answer, "namespaces"), "none");
	is_str(said(answer, "user"), "0, of its own kernel");
	has_str(said(answer, "writable.dangerous"), "its own kernel's");
}

TEST(a_filter_that_could_not_be_asked_about_is_said_to_be_unknown)
{
	host.boot_id = here;
	char *text = tap_keep(strdup(answer)), *from = strstr(text, "\"calls\":{"), *to = strstr(text, "\"devices\"");
	char *why = tap_keep(str_fmt("%.*s\"calls\":{\"why\":\"no\"},%s", (int)(from - text), text, to));

	is_str(said(why, "calls"), "unknown: no");
	is_str(said(why, "calls.abis"), "unknown: no");
	is_str(said(why, "calls.notable"), "unknown: no");
}

TEST(whatever_is_not_as_it_should_be_is_refused_by_name)
{
	static const struct {
		const char *what, *with, *says;
	} rows[] = {
		{ "berth.walls/1", "berth.walls/2", ".schema" },
		{ "\"uid\":0", "\"uid\":\"root\"", "uid" },
		{ "\"uid\":0", "\"uid\":0,\"more\":1", "more" },
		{ "\"capEffective\":\"" HEX16, "\"capEffective\":\"xyz", "capabilities" },
		{ "[[0,100000,65536]]", "[[0,1]]", "uidMap" },
		{ "[[0,100000,65536]]", "[[0,-1,2]]", "uidMap" },
		{ "[[0,100000,65536]]", "7", "uidMap" },
		{ "\"reached\":\"" HEX128, "\"reached\":\"ff", "x86_64" },
		{ "\"reached\":\"" NONE137, "\"reached\":\"" NONE128, "x32" },
		{ "\"cases\":{", "\"cases\":{\"x\":1,", "cases" },
		{ "\"cases\":{\"socket-alg\":true,\"ioctl-tiocsti\":false}", "\"cases\":[]", "cases" },
		{ "\"count\":1,\"disk\"", "\"count\":0,\"disk\"", ".devices.count" },
		{ "\"path\":\"/dev/null\",", "", ".devices.usable[0]" },
		{ "\"count\":70", "\"count\":-1", ".writable.proc" },
		{ "\"hidden\"", "3", "masks" },
		{ "\"target\":\"/data\",", "", ".mounts.outside[0]" },
		{ "\"outsideCount\":1", "\"outsideCount\":0", ".mounts.outsideCount" },
		{ "\"masks\":", "\"masked\":", "mask" },
		{ "{\"schema\"", "[{\"schema\"", "probe's answer" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *text = replaced(rows[i].what, rows[i].with);
		struct walls_inside w = { 0 };
		struct err e = { 0 };

		if (walls_read(text, strlen(text), &w, &e) >= 0)
			TAP_FAIL("%s was taken", rows[i].with);
		has_str(e.msg, rows[i].says);
		walls_inside_done(&w);
	}
}

TEST(what_is_too_long_is_not_looked_at)
{
	struct walls_inside w = { 0 };
	struct err e = { 0 };

	is_int(walls_read("", WALLS_TEXT_MAX + 1, &w, &e), -EFBIG);
	is_int(walls_read("[]", 2, &w, &e), -EINVAL);
}

TEST(a_map_counts_calls_that_have_a_name)
{
	unsigned of;

	ok(walls_has("1", 0) && !walls_has("1", 1) && walls_has("0a", 5) && walls_has("0a", 7) && !walls_has("0a", 8));
	is_int(walls_count("3", &of), 2);
	ok(of > 300 && of <= WALLS_NUMBERS);
	is_str(walls_call_name(SYS_mkdir), "mkdir");
	ok(!walls_call_name(100000));
}

/* A child under a filter that lets three calls pass, one of them by its arguments. */
static pid_t confined_child(void)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 3, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_fprog prog = { ARRAY_SIZE(insns), insns };
	int ready[2], hold[2];
	pid_t pid;
	char c;

	ok(pipe(ready) == 0 && pipe(hold) == 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], 1);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
			_exit(1);
		if (write(1, "x", 1) == 1)
			(void)!read(hold[0], &c, 1);
		_exit(0);
	}
	close(ready[1]);
	is_int(read(ready[0], &c, 1), 1);
	return pid;
}

TEST(the_filter_of_another_process_is_read_out_of_the_kernel_and_it_goes_on)
{
	struct walls_filter f = { 0 };
	int status;
	pid_t pid;

	if (geteuid() != 0 || prctl(PR_GET_SECCOMP) != 0)
		skip("filters are shown to root without one");
	pid = confined_child();
	walls_filter_of(pid, &f);
	if (f.why && strstr(f.why, "CONFIG_CHECKPOINT_RESTORE"))
		skip("this kernel shows no filters");
	is_str(f.why, NULL);
	is_int(f.always, 2);
	is_int(f.sometimes, 1);
	is_int(kill(pid, 0), 0);
	is_int(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGKILL);
}

TEST(why_a_filter_is_not_known_is_told)
{
	struct walls_filter f = { 0 };

	walls_filter_of(getpid(), &f); /* whose threads its own child may trace, but it has no filter */
	ok(f.why && *f.why);
	free(f.why);
}

TEST(a_process_and_what_it_has_begun_are_seen_from_outside)
{
	struct walls_outside o = { 0 };
	struct walls_host h;
	pid_t pid;
	int fds[2];
	char c;

	ok(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "a (b)\n");
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			prctl(PR_SET_NAME, "grandchild");
			(void)!write(fds[1], "x", 1);
		}
		pause();
		_exit(0);
	}
	is_int(read(fds[0], &c, 1), 1);
	is_int(walls_host_get(&h, NULL), 0);
	is_int(walls_look(&pid, 1, true, &h, &o, NULL), 0);
	is_int(o.n, 2);
	ok(o.processes);
	is_str(o.processes[1].name, "grandchild");
	ok(!strchr(o.processes[0].name, '\n'));
	is_int(o.processes[0].uid, geteuid());
	is_int(o.processes[0].n_threads, 1);
	ok(o.processes[0].shares[WALL_NS_MNT] && o.processes[0].n_mounts > 0);
	walls_outside_drop(&o, "grandchild");
	is_int(o.n, 1);
	is_int(o.processes[0].pid, pid);
	walls_outside_done(&o);
	is_int(walls_look(&pid, 1, false, &h, &o, NULL), 0);
	is_int(o.n, 1);
	walls_outside_done(&o);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	is_int(walls_look(&pid, 1, true, &h, &o, NULL), 0); /* it has ended: no error, nothing to tell */
	is_int(o.n, 0);
	walls_outside_done(&o);
	walls_host_done(&h);
}

TEST(a_strangers_text_is_no_line_of_ours_and_drives_no_terminal)
{
	char name[5000];
	const char *head = replaced("\"hypervisorName\":\"KVM\"", "\"hypervisorName\":\"a\\nb\\tc\\u001b[2J\""),
		   *at = strstr(head, "/proc/keys"), *text;
	static const struct walls_outside none;
	struct walls_inside w = { 0 };
	const struct walls_view v = { &w, &none, &host };
	struct comparison c;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	text = str_fmt("%.*s%s%s", (int)(at - head), head, name, at + strlen("/proc/keys"));
	tap_keep((char *)(uintptr_t)text);
	host.boot_id = here;
	is_int(walls_read(text, strlen(text), &w, NULL), 0);
	is_int(comparison_init(&c, "x", NULL), 0);
	is_int(comparison_add_way(&c, "container", NULL), 0);
	is_int(walls_add(&c, 0, &v), 0);
	is_str(comparison_wall(&c, "processor")->of_way[0], "tells of a hypervisor: a?b?c?[2J");
	is_int(c.n_walls, n_wall_kinds);
	is_int(strlen(comparison_wall(&c, "readable")->of_way[0]), 2000);
	ok(str_ends(comparison_wall(&c, "readable")->of_way[0], "..."));
	comparison_done(&c);
	walls_inside_done(&w);
}

static char *printed(const struct comparison *c, size_t width)
{
	int fd = memfd_create("table", 0);
	char *text;

	is_int(walls_print(c, fd, width, NULL), 0);
	ok(lseek(fd, 0, SEEK_SET) == 0);
	is_int(fd_read_all(fd, 65536, &text, NULL), 0);
	close(fd);
	return tap_keep(text);
}

TEST(a_table_has_ways_beside_each_other_where_there_is_room)
{
	struct comparison c;

	is_int(comparison_init(&c, "x", NULL), 0);
	is_int(comparison_add_way(&c, "container", NULL), 0);
	is_int(comparison_add_way(&c, "vm", "TCG"), 1);
	is_int(comparison_add_wall(&c, "w", "wall", true, 0, "one two three four five six seven eight nine ten"), 0);
	is_int(comparison_add_wall(&c, "w", "wall", true, 1, "short"), 0);
	is_str(printed(&c, 34 + 2 * 36), "      container                           vm (TCG)\n"
					 "wall  one two three four five six seven   short\n"
					 "      eight nine ten\n");
	has_str(printed(&c, 50), "\n\n      vm (TCG)\nwall  short\n");
	comparison_done(&c);
}

TAP_MAIN()
