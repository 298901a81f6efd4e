#include <sys/stat.h>

#include "fd.h"
#include "path.h"
#include "str.h"
#include "tap.h"

static char dir[64];

static void clean(void) { rm_rf(AT_FDCWD, dir); }

static char *under(const char *name) { return tap_keep(str_fmt("%s/%s", dir, name)); }

static void make_dir(void)
{
	strcpy(dir, "/tmp/berth-path-XXXXXX");
	ok(mkdtemp(dir));
	atexit(clean);
	unsetenv("BERTH_ROOT");
	unsetenv("BERTH_RUN");
	unsetenv("BERTH_LIBEXECDIR");
}

TEST(options_win_over_the_environment)
{
	struct paths p;
	struct err e = { 0 };
	struct stat st;

	make_dir();
	setenv("BERTH_ROOT", under("env-root"), 1);
	setenv("BERTH_RUN", under("env-run"), 1);
	setenv("BERTH_LIBEXECDIR", "/opt/x", 1);
	is_int(paths_init(&p, under("deep/opt-root//"), NULL, &e), 0);
	is_str(p.root, under("deep/opt-root"));
	is_str(p.run, under("env-run"));
	is_str(p.libexec, "/opt/x");
	is_int(stat(p.root, &st), 0);
	is_int(st.st_mode & 07777, 0700);
	ok(stat(under("env-root"), &st) < 0);
	paths_done(&p);
}

TEST(folders_are_closed_to_others_and_must_be_ours)
{
	struct paths p;
	struct err e = { 0 };
	struct stat st;

	make_dir();
	is_int(mkdir(under("root"), 0777), 0);
	is_int(chmod(under("root"), 0777), 0);
	is_int(paths_init(&p, under("root"), under("run"), &e), 0);
	is_int(stat(p.root, &st), 0);
	is_int(st.st_mode & 07777, 0700);
	paths_done(&p);
	if (geteuid() != 0)
		skip("needs root to give a folder away");
	is_int(chown(under("root"), 12345, 0), 0);
	is_int(paths_init(&p, under("root"), under("run"), &e), -EPERM);
	has_str(e.msg, "belongs to uid 12345");
	is_int(chown(under("root"), 0, 0), 0);
}

TEST(a_missing_sibling_is_named_with_its_remedy)
{
	struct paths p = { .libexec = dir };
	struct err e = { 0 };
	char *found = NULL;

	make_dir();
	is_int(paths_sibling(&p, "berth-monitor", &found, &e), -ENOENT);
	has_str(e.msg, "berth-monitor is missing from /tmp/berth-path-");
	has_str(e.msg, "BERTH_LIBEXECDIR");
	int d = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	is_int(file_replace(d, "berth-monitor", "x", 1, 0600, false), 0);
	is_int(paths_sibling(&p, "berth-monitor", &found, &e), -EACCES);
	is_int(fchmodat(d, "berth-monitor", 0700, 0), 0);
	is_int(paths_sibling(&p, "berth-monitor", &found, &e), 0);
	is_str(tap_keep(found), under("berth-monitor"));
}

TEST(builds_refuse_each_other)
{
	struct err e = { 0 };

	unsetenv("BERTH_BUILD_ID");
	is_int(build_id_check(&e), -EINVAL);
	setenv("BERTH_BUILD_ID", "another", 1);
	is_int(build_id_check(&e), -EINVAL);
	has_str(e.msg, "berth is of build another");
	setenv("BERTH_BUILD_ID", build_id(), 1);
	is_int(build_id_check(&e), 0);
}

TEST(names_are_plain)
{
	static const char *const good[] = { "a", "0", "web-1", "A_b.c", "x.y-z_" };
	static const char *const bad[] = { "", ".", "..", "-a", "_a", ".a", "a/b", "a b", "a\n", "\xc3\xa9", "a:b", "a\x7f" };
	char lng[130];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		ok(name_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ok(!name_is_valid(bad[i]));
	memset(lng, 'a', 129);
	lng[129] = '\0';
	ok(!name_is_valid(lng));
	lng[128] = '\0';
	ok(name_is_valid(lng));
}

TEST(ids_are_64_hex_digits_and_differ)
{
	char a[65], b[65];

	is_int(id_new(a), 0);
	is_int(id_new(b), 0);
	is_int(strspn(a, "0123456789abcdef"), 64);
	is_int(strlen(a), 64);
	ok(!streq(a, b));
}

TAP_MAIN()
