/* Where the first process begins, the mask that it is left with, and the network that a thread makes for it. */
#include "fixture.h"

#include <pthread.h>

TEST(a_cpu_taken_at_random_must_be_likely_to_be_idle)
{
	static const struct {
		unsigned running, cpus;
		bool pays;
	} rows[] = {
		{ 0, 1, false }, { 1, 1, false },   { 1, 2, true },
		{ 2, 2, false }, { 2, 4, true },    { 3, 4, false },
		{ 8, 64, true }, { 40, 64, false }, { UINT_MAX / 2, 64, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (placement_pays(rows[i].running, rows[i].cpus) != rows[i].pays)
			TAP_FAIL("%u running on %u", rows[i].running, rows[i].cpus);
}

static int count_cpus(pid_t pid)
{
	cpu_set_t set;

	is_int(sched_getaffinity(pid, sizeof(set), &set), 0);
	return CPU_COUNT(&set);
}

static void bind_to(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	is_int(sched_setaffinity(0, sizeof(one), &one), 0);
}

TEST(one_that_is_moved_may_run_everywhere_again)
{
	struct placement p = { .is_wanted = true };
	struct err e = { 0 };
	int all = count_cpus(0);
	cpu_set_t was;
	pid_t pid;

	if (all < 2 || all != sysconf(_SC_NPROCESSORS_ONLN))
		skip("needs two CPUs, and all that there are");
	is_int(sched_getaffinity(0, sizeof(was), &was), 0);
	p.others = was;
	bind_to(sched_getcpu());
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	is_int(count_cpus(pid), 1);
	is_int(placement_apply(&p, pid, &e), 0);
	is_int(count_cpus(pid), all);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* Gone meanwhile: whoever waits for it will see that. */
	p.others = was;
	is_int(placement_apply(&p, pid, &e), 0);
	is_int(sched_setaffinity(0, sizeof(was), &was), 0);
}

/* What the maker may use is all that the container may. */
TEST(the_mask_of_a_bound_maker_is_handed_down)
{
	struct placement p;
	struct fixture f;
	cpu_set_t was;
	char want[64];
	int status;

	is_int(sched_getaffinity(0, sizeof(was), &was), 0);
	fixture_init(&f);
	snprintf(want, sizeof(want), "%d", sched_getcpu());
	bind_to(atoi(want));
	placement_plan(&p);
	ok(!p.is_wanted || CPU_COUNT(&was) == 1);
	is_int(placement_apply(&p, getpid(), &f.err), 0);
	is_int(count_cpus(0), 1);
	ARGS(&f, "grep", "^Cpus_allowed_list", "/proc/self/status");
	is_int(fixture_run(&f, &status), 0);
	ok(strstr(f.out, want) != NULL && !strpbrk(f.out, "-,"));
	is_int(sched_setaffinity(0, sizeof(was), &was), 0);
	is_int(fixture_run(&f, &status), 0);
	ok(CPU_COUNT(&was) < 2 || strpbrk(f.out, "-,") != NULL);
	fixture_done(&f);
}

static const char *network_inside(struct fixture *f)
{
	int status;

	ARGS(f, "readlink", "/proc/self/ns/net");
	if (fixture_run(f, &status) < 0)
		TAP_FAIL("%s", f->err.msg);
	return f->out;
}

static const char *own_network(char out[64])
{
	ssize_t n = readlink("/proc/self/ns/net", out, 62);

	ok(n > 0);
	memcpy(out + n, "\n", 2);
	return out;
}

TEST(the_first_process_takes_the_network_that_a_thread_makes_meanwhile)
{
	struct net_ahead a = { 0 };
	struct fixture f;
	char own[64];
	int status;

	fixture_init(&f);
	container_network_begin(&a, &f.spec);
	f.args.network = &a;
	ok(!streq(network_inside(&f), own_network(own)));
	is_int(container_network_take(&a), -1); /* it has been taken */
	container_network_begin(&a, &f.spec);
	ARGS(&f, "cat", "/sys/class/net/lo/operstate");
	is_int(fixture_run(&f, &status), 0);
	is_str(f.out, "unknown\n");
	fixture_done(&f);
}

static void *make_none(void *arg)
{
	(void)arg;
	return NULL;
}

TEST(where_the_thread_made_none_the_first_process_makes_its_own)
{
	struct net_ahead a = { .fd = -1 };
	struct fixture f;
	char own[64];

	fixture_init(&f);
	is_int(pthread_create(&a.thread, NULL, make_none, NULL), 0);
	a.is_begun = true;
	f.args.network = &a;
	ok(!streq(network_inside(&f), own_network(own)));
	fixture_done(&f);
}

TEST(a_network_is_guessed_from_the_looks_of_the_text)
{
	static const struct {
		const char *text;
		bool is_begun;
	} rows[] = {
		{ "{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"}]}", true },
		{ "{\"namespaces\": [ { \"type\" :\n \"network\" } ] }", true },
		{ "[{\"type\":\"network\",\"path\":\"/proc/1/ns/net\"}]", false },
		{ "[{\"path\":\"/proc/1/ns/net\",\"type\":\"network\"}]", false },
		{ "[{\"type\":\"network\"},{\"type\":\"mount\",\"path\":\"/x\"}]", true },
		{ "[{\"type\":\"network\"},{\"type\":\"user\"}]", false },
		{ "[{\"type\":\"user\"},{\"type\":\"network\"}]", false },
		{ "[{\"type\":\"networks\"}]", false },
		{ "[{\"type\":\"network\"", false },
		{ "\"type\":\"network\"}", true }, /* it need not be JSON */
		{ "\"type\"", false },
		{ "", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_ahead a = { 0 };

		container_network_guess(&a, rows[i].text, strlen(rows[i].text));
		if (a.is_begun != rows[i].is_begun)
			TAP_FAIL("%s", rows[i].text);
		fd_close(container_network_take(&a));
	}
}

/* Each byte is looked at a few times at most, however many networks it names and wherever their ends are. */
TEST(a_hostile_text_is_guessed_from_in_linear_time)
{
	static const char entry[] = "\"type\":\"network\",";
	const size_t n = 500000, len = sizeof(entry) - 1;
	char *text = tap_keep(malloc(n * len));
	struct net_ahead a = { 0 };

	ok(text);
	for (size_t i = 0; i < n; i++)
		memcpy(text + i * len, entry, len);
	container_network_guess(&a, text, n * len);
	ok(!a.is_begun);
}

TEST(what_was_guessed_wrong_is_put_right)
{
	static const char text[] = "[{\"type\":\"network\"}]";
	struct net_ahead a = { 0 };
	struct fixture f;
	int before;

	fixture_init(&f);
	before = count_fds();
	f.spec.ns.wanted[NS_NET] = false;
	container_network_guess(&a, text, strlen(text));
	ok(a.is_begun);
	container_network_begin(&a, &f.spec);
	ok(!a.is_begun);
	is_int(count_fds(), before);
	f.spec.ns.wanted[NS_NET] = true;
	container_network_begin(&a, &f.spec);
	ok(a.is_begun);
	container_network_begin(&a, &f.spec); /* the same */
	ok(a.is_begun);
	fd_close(container_network_take(&a));
	is_int(count_fds(), before);
	fixture_done(&f);
}

/* An error before the first process: nobody has taken it, and whoever began it does. */
TEST(a_network_begun_in_vain_is_still_there_to_be_taken)
{
	struct container *c = NULL;
	struct net_ahead a = { 0 };
	struct fixture f;
	int fd;

	fixture_init(&f);
	container_network_begin(&a, &f.spec);
	f.args.network = &a;
	f.spec.ns.wanted[NS_CGROUP] = true;
	f.spec.ns.path[NS_CGROUP] = strdup("/proc/self/no-such-namespace");
	ok(container_create(&f.args, &c, &f.err) < 0);
	fd = container_network_take(&a);
	ok(fd >= 0);
	close(fd);
	is_int(container_network_take(&a), -1);
	fixture_done(&f);
}

TAP_MAIN()
