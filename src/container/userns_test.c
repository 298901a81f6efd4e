/* Containers in a user namespace: who is who, what is theirs in it, and maps that can not be. */
#include "fixture.h"

TEST(root_of_a_user_namespace_is_nobody_outside)
{
	struct fixture f;
	struct container *c;
	char path[64];
	struct stat st;

	fixture_init(&f);
	use_userns(&f);
	is_str(sh(&f, "id -u; id -g; cat /proc/self/uid_map | grep -c 100000; echo x > /dev/null; head -c 2 /dev/zero | wc -c"),
	       "0\n0\n1\n2\n");
	is_str(sh(&f,
		  "stat -c %t:%T /dev/null; cat /proc/sys/net/ipv4/ping_group_range; touch /dev/shm/x; stat -c %u /dev/shm/x"),
	       "1:3\n0\t65535\n0\n");
	ARGS(&f, "sleep", "100");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	snprintf(path, sizeof(path), "/proc/%d", (int)container_pid(c));
	ok(stat(path, &st) == 0);
	is_int(st.st_uid, 100000);
	container_destroy(c);
	forget_userns(&f);
	fixture_done(&f);
}

TEST(a_user_namespace_takes_users_devices_terminals_and_exec)
{
	struct fixture f;
	struct container *c;
	struct spec_process p;
	struct container_exec_args a = { .process = &p, .stdio = { 0, 1, 2 } };
	int console, pidfd, status;
	pid_t pid;
	bool oom;

	fixture_init(&f);
	use_userns(&f);
	f.spec.process.terminal = true;
	f.spec.process.oom_score_adj = 400;
	f.spec.process.user.username = strdup("alice");
	ARGS(&f, "sh", "-c", "id -u; tty; read x; cat /proc/self/oom_score_adj");
	if (container_create(&f.args, &c, &f.err) < 0 || container_start(c, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	console = container_take_console(c);
	spec_process_init(&p);
	ok(strv_push(&p.args, "sh") == 0 && strv_push(&p.args, "-c") == 0 &&
	   strv_push(&p.args, "test $(id -u) = 0 -a -r /proc/1/status") == 0);
	if (container_exec(c, &a, &pid, &pidfd, &status, &f.err) < 0)
		TAP_FAIL("%s", f.err.msg);
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
	ok(write(console, "\n", 1) == 1);
	is_int(container_reap(c, &status, &oom, &f.err), 0);
	is_int(status, 0);
	/* To the end (EIO). The terminal's echo of our line may stand between any two of the lines. */
	size_t len = 0;
	for (ssize_t n; (n = read(console, f.out + len, sizeof(f.out) - 1 - len)) > 0;)
		len += (size_t)n;
	f.out[len] = 0;
	has_str(f.out, "1000\r\n");
	has_str(f.out, "/dev/pts/0\r\n");
	has_str(f.out, "400\r\n");
	close(console);
	spec_process_done(&p);
	container_destroy(c);
	forget_userns(&f);
	fixture_done(&f);
}

TEST(a_user_namespace_of_another_container_can_be_joined)
{
	struct fixture f;
	struct container *c;

	fixture_init(&f);
	use_userns(&f);
	ARGS(&f, "sleep", "100");
	is_int(container_create(&f.args, &c, &f.err), 0);
	is_int(container_start(c, &f.err), 0);
	forget_userns(&f);
	f.spec.ns.path[NS_USER] = str_fmt("/proc/%d/ns/user", (int)container_pid(c));
	f.spec.ns.path[NS_NET] = str_fmt("/proc/%d/ns/net", (int)container_pid(c));
	is_str(sh(&f, "echo $$; grep -c 100000 /proc/self/uid_map; cat /sys/class/net/lo/flags"), "1\n1\n0x9\n");
	container_destroy(c);
	fixture_done(&f);
}

TEST(a_user_namespace_without_maps_is_refused)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.ns.wanted[NS_USER] = true;
	has_str(refused(&f), "uidMappings");
	fixture_done(&f);
}

/* n ranges of one id each, apart from each other by `step` on the host. */
static struct spec_idmap *many_ranges(size_t n, uint32_t first, uint32_t step)
{
	struct spec_idmap *m = calloc(n, sizeof(*m));

	ok(m != NULL);
	for (size_t i = 0; i < n; i++)
		m[i] = (struct spec_idmap){ (uint32_t)i, first + (uint32_t)i * step, 1 };
	return m;
}

TEST(R24_maps_of_many_ranges_are_whole_or_refused)
{
	struct fixture f;

	fixture_init(&f);
	f.spec.ns.wanted[NS_USER] = true;
	f.spec.n_uid_mappings = f.spec.n_gid_mappings = 200;
	f.spec.uid_mappings = f.spec.gid_mappings = many_ranges(200, 100000, 2);
	is_str(sh(&f, "wc -l < /proc/self/uid_map; wc -l < /proc/self/gid_map"), "200\n200\n");
	free(f.spec.uid_mappings);
	/* 330 ranges of long numbers: more than a page. */
	f.spec.n_uid_mappings = f.spec.n_gid_mappings = 330;
	f.spec.uid_mappings = f.spec.gid_mappings = many_ranges(330, 4000000000U, 2);
	has_str(refused(&f), "uid_map: 330 ranges are ");
	free(f.spec.uid_mappings);
	/* 70 KB of text, but each goes on where the last one ended. */
	f.spec.n_uid_mappings = f.spec.n_gid_mappings = 4000;
	f.spec.uid_mappings = f.spec.gid_mappings = many_ranges(4000, 4000000000U, 1);
	is_str(sh(&f, "wc -l < /proc/self/uid_map"), "1\n");
	free(f.spec.uid_mappings);
	forget_userns(&f);
	fixture_done(&f);
}

TEST(an_id_that_is_not_mapped_is_refused)
{
	struct fixture f;

	fixture_init(&f);
	use_userns(&f);
	f.spec.process.user.uid = 70000;
	has_str(refused(&f), "user 70000");
	forget_userns(&f);
	fixture_done(&f);
}

TAP_MAIN()
