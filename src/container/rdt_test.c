/* Groups of resctrl, on a directory that has the files which the kernel would make in each group. */
#include "fixture.h"

#define S(text) ((char[]){ text })

struct tree {
	char dir[64];
	int fd;
};

static void put(struct tree *t, const char *path, const char *text)
{
	int fd = openat(t->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ok(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static const char *text_of(struct tree *t, const char *path)
{
	static char buf[256];
	int fd = openat(t->fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, buf, sizeof(buf) - 1);

	ok(n >= 0);
	buf[n] = 0;
	close(fd);
	return buf;
}

static void group(struct tree *t, const char *name, const char *schemata)
{
	char path[80];

	ok(mkdirat(t->fd, name, 0755) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "%s/tasks", name);
	put(t, path, "");
	snprintf(path, sizeof(path), "%s/schemata", name);
	put(t, path, schemata);
	snprintf(path, sizeof(path), "%s/mon_groups", name);
	ok(mkdirat(t->fd, path, 0755) == 0);
}

static void tree_init(struct tree *t)
{
	strcpy(t->dir, "/tmp/berth-rdt.XXXXXX");
	ok(mkdtemp(t->dir) != NULL);
	t->fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(t->fd >= 0);
	group(t, ".", "L3:0=7f\nMB:0=100\n");
	group(t, "gold", "    L3:0=70\n    MB:0=50\n");
}

static void tree_done(struct tree *t)
{
	close(t->fd);
	ok(rm_rf(AT_FDCWD, t->dir) == 0);
}

TEST(a_process_joins_the_class_that_is_there)
{
	struct spec_rdt gold = { .clos_id = S("gold") }, root = { .clos_id = S("/") };
	struct spec_rdt same = { .clos_id = S("gold"), .l3_schema = S("L3:0=70"), .mb_schema = S("MB:0=50") };
	struct err e = { 0 };
	struct tree t;

	tree_init(&t);
	is_int(rdt_make(t.fd, &gold, "c1", 4711, &e), 0);
	is_str(text_of(&t, "gold/tasks"), "4711\n");
	is_int(rdt_make(t.fd, &root, "c1", 42, &e), 0);
	is_str(text_of(&t, "tasks"), "42\n");
	is_int(rdt_make(t.fd, &same, "c1", 5, &e), 0);
	/* What the host has made stays, as it was. */
	is_int(rdt_remove(t.fd, &same, "c1", &e), 0);
	is_str(text_of(&t, "gold/schemata"), "    L3:0=70\n    MB:0=50\n");
	tree_done(&t);
}

TEST(a_class_that_is_not_there_or_is_another_is_refused)
{
	char *more[] = { S("L2:0=f"), NULL };
	struct spec_rdt silver = { .clos_id = S("silver") }, other = { .clos_id = S("gold"), .l3_schema = S("L3:0=7f") },
			list = { .clos_id = S("gold"), .schemata = more };
	struct err e = { 0 };
	struct tree t;

	tree_init(&t);
	ok(rdt_make(t.fd, &silver, "c1", 5, &e) < 0);
	has_str(e.msg, "group silver: does not exist, and no schema says how to make it");
	ok(rdt_make(t.fd, &other, "c1", 5, &e) < 0);
	has_str(e.msg, "group gold: the class exists, and its schemata has no line \"L3:0=7f\"");
	ok(rdt_make(t.fd, &list, "c1", 5, &e) < 0);
	has_str(e.msg, "\"L2:0=f\"");
	is_str(text_of(&t, "gold/tasks"), "");
	tree_done(&t);
}

TEST(a_group_of_its_own_that_can_not_be_set_is_not_left)
{
	struct spec_rdt own = { .l3_schema = S("L3:0=1") };
	struct err e = { 0 };
	struct stat st;
	struct tree t;

	tree_init(&t);
	/* No schemata in the new directory: nobody is the kernel here. */
	ok(rdt_make(t.fd, &own, "c1", 5, &e) < 0);
	has_str(e.msg, "group c1: schemata: \"L3:0=1\"");
	ok(fstatat(t.fd, "c1", &st, 0) < 0 && errno == ENOENT);
	/* And one that another has by that name is not taken over. */
	ok(mkdirat(t.fd, "c1", 0755) == 0);
	ok(rdt_make(t.fd, &own, "c1", 5, &e) < 0);
	has_str(e.msg, "group c1: File exists");
	/* Its own go with the container, the second time too. */
	is_int(rdt_remove(t.fd, &own, "c1", &e), 0);
	ok(fstatat(t.fd, "c1", &st, 0) < 0);
	is_int(rdt_remove(t.fd, &own, "c1", &e), 0);
	tree_done(&t);
}

TEST(monitoring_groups_are_the_containers)
{
	struct spec_rdt r = { .clos_id = S("gold"), .mbm = true };
	struct err e = { 0 };
	struct stat st;
	struct tree t;

	tree_init(&t);
	/* The kernel makes the group's tasks with the directory; here there is none. */
	ok(rdt_make(t.fd, &r, "c1", 5, &e) < 0);
	has_str(e.msg, "tasks: \"5\"");
	ok(fstatat(t.fd, "gold/mon_groups/c1", &st, 0) == 0);
	is_int(rdt_remove(t.fd, &r, "c1", &e), 0);
	ok(fstatat(t.fd, "gold/mon_groups/c1", &st, 0) < 0);
	tree_done(&t);
}

TEST(without_resctrl_the_container_is_refused_and_the_remedy_named)
{
	struct spec_rdt r = { .clos_id = S("gold") };
	struct fixture f;

	fixture_init(&f);
	if (access("/sys/fs/resctrl/schemata", F_OK) == 0) {
		fixture_done(&f);
		skip("this host has one");
	}
	f.spec.rdt = &r;
	has_str(refused(&f), "linux.intelRdt needs a resctrl filesystem at /sys/fs/resctrl: mount one there (mount -t resctrl");
	f.spec.rdt = NULL;
	fixture_done(&f);
}

TEST(update_moves_all_threads_to_a_group_and_sets_its_schemas)
{
	struct tree t;
	struct err e = { 0 };

	tree_init(&t);
	ok(mkdirat(t.fd, "info", 0755) == 0);
	put(&t, "info/L3", "");
	put(&t, "info/MB", "");
	group(&t, "c1", "");
	if (rdt_update(t.fd, "c1", getpid(), "L3:0=f;1=f", NULL, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_str(text_of(&t, "c1/schemata"), "L3:0=f;1=f\n");
	is_int(atoi(text_of(&t, "c1/tasks")), getpid());
	put(&t, "c1/schemata", "");
	is_int(rdt_update(t.fd, "c1", getpid(), "", "MB:0=20;1=70", &e), 0);
	is_str(text_of(&t, "c1/schemata"), "MB:0=20;1=70\n");
	is_int(rdt_update(t.fd, "c1", 0x3fffff, "L3:0=f", NULL, &e), -ENOENT);
	tree_done(&t);
}

TEST(update_names_what_the_processor_lacks_and_makes_no_group)
{
	struct tree t;
	struct err e = { 0 };

	tree_init(&t);
	ok(mkdirat(t.fd, "info", 0755) == 0);
	put(&t, "info/L3CODE", "");
	is_int(rdt_update(t.fd, "c2", getpid(), "L3CODE:0=f", "MB:0=20", &e), -ENOTSUP);
	has_str(e.msg, "memBwSchema: /sys/fs/resctrl/info/MB is missing");
	ok(faccessat(t.fd, "c2", F_OK, 0) < 0);
	tree_done(&t);
	is_int(rdt_update(-1, "c2", getpid(), "L3:0=f", NULL, &e), -ENOTSUP);
	has_str(e.msg, "l3CacheSchema: /sys/fs/resctrl/info/L3 is missing");
}

TAP_MAIN()
