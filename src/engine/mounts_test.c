/* -v, --mount and --tmpfs: what they become, and what is refused. */
#include "engine_impl.h"

#include <unistd.h>

#include "tap.h"

static struct spec s;
static struct err e;
static char dir[] = "/tmp/berth-mounts-test-XXXXXX";

static void fresh(void)
{
	spec_init(&s);
	e = (struct err){ 0 };
	ok(spec_default(&s, &e) >= 0);
	ok(mkdtemp(dir));
	ok(chdir(dir) == 0);
	ok(mkdir("there", 0755) == 0);
	ok(symlink("there", "link") == 0);
}

static void clean(void)
{
	ok(chdir("/") == 0);
	is_int(rm_rf(AT_FDCWD, dir), 0);
}

static char *last(void)
{
	const struct spec_mount *m = &s.mounts[s.n_mounts - 1];
	struct buf b = { 0 };

	buf_fmt(&b, "%s %s %s", m->type, m->source, m->destination);
	for (char **o = m->options; o && *o; o++)
		buf_fmt(&b, "%s%s", o == m->options ? " " : ",", *o);
	return tap_keep(buf_take(&b));
}

/* "%D" in want stands for the test's directory. */
static char *with_dir(const char *want)
{
	struct buf b = { 0 };

	for (; *want; want++) {
		if (want[0] == '%' && want[1] == 'D') {
			buf_str(&b, dir);
			want++;
		} else {
			buf_add(&b, want, 1);
		}
	}
	return tap_keep(buf_take(&b));
}

TEST(volumes_become_private_binds_without_devices_or_setuid)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "%D/there:/a", "bind %D/there /a rbind,rprivate,rw,nosuid,nodev" },
		{ "%D/there:/b:ro", "bind %D/there /b rbind,rprivate,ro,nosuid,nodev" },
		{ "./there:/c:ro,rslave,noexec", "bind %D/there /c rbind,rslave,ro,nosuid,nodev,noexec" },
		{ "./link:/d:z,suid,dev", "bind %D/there /d rbind,rprivate,rw" },
		{ "./new/deep:/e", "bind %D/new/deep /e rbind,rprivate,rw,nosuid,nodev" },
	};

	fresh();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (mounts_add_volume(&s, with_dir(cases[i].text), &e) < 0)
			TAP_FAIL("%s: %s", cases[i].text, e.msg);
		is_str(last(), with_dir(cases[i].want));
	}
	ok(access("new/deep", F_OK) == 0); /* docker's -v makes what is missing */
	clean();
}

TEST(wrong_volumes_are_refused_with_their_text)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "data:/a", "\"data\" names a volume" },
		{ "data:/a", "./data" },
		{ "/a", "anonymous volume" },
		{ "x", "is not HOST:PATH" },
		{ "/a:/b:ro:x", "is not HOST:PATH" },
		{ "/tmp:b", "must be absolute" },
		{ "/tmp:/a/../b", "can't hold \"..\"" },
		{ "/tmp:/", "can't mount over \"/\"" },
		{ "/tmp:/a:rx", "unknown option \"rx\"" },
		{ ":/a", "is not HOST:PATH" },
	};

	fresh();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t before = s.n_mounts;
		ok(mounts_add_volume(&s, cases[i].text, &e) < 0);
		has_str(e.msg, cases[i].text[0] == ':' ? "--volume" : cases[i].says);
		is_int(s.n_mounts, before);
	}
	clean();
}

TEST(mount_takes_named_parts)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "type=bind,source=%D/there,target=/a", "bind %D/there /a rbind,rprivate,rw,nosuid,nodev" },
		{ "type=bind,src=./there,dst=/b,readonly", "bind %D/there /b rbind,rprivate,ro,nosuid,nodev" },
		{ "type=bind,src=./there,destination=/c,ro=false,bind-propagation=rshared",
		  "bind %D/there /c rbind,rshared,rw,nosuid,nodev" },
		{ "type=bind,src=./there,target=/d,bind-nonrecursive=true", "bind %D/there /d bind,rprivate,rw,nosuid,nodev" },
		{ "type=tmpfs,target=/e", "tmpfs user /e noexec,nosuid,nodev" },
		{ "type=tmpfs,target=/f,tmpfs-size=1m,tmpfs-mode=1770",
		  "tmpfs user /f noexec,nosuid,nodev,size=1048576,mode=1770" },
	};

	fresh();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (mounts_add_mount(&s, with_dir(cases[i].text), &e) < 0)
			TAP_FAIL("%s: %s", cases[i].text, e.msg);
		is_str(last(), with_dir(cases[i].want));
	}
	clean();
}

TEST(mount_refuses_what_is_missing_or_unknown)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "type=bind,source=/nonexistent/x,target=/a", "source /nonexistent/x: does not exist" },
		{ "type=bind,source=/tmp", "target=PATH is missing" },
		{ "type=bind,target=/a", "source=PATH is missing" },
		{ "type=volume,source=x,target=/a", "asks for a volume" },
		{ "source=x,target=/a", "asks for a volume" },
		{ "type=nfs,source=x,target=/a", "unknown type \"nfs\"" },
		{ "type=bind,source=/tmp,target=/a,color=red", "unknown key \"color\"" },
		{ "type=bind,source=/tmp,target=/a,readonly=perhaps", "readonly is true or false" },
		{ "type=bind,source=/tmp,target=/a,bind-propagation=no", "bind-propagation is one of" },
		{ "type=tmpfs,source=/tmp,target=/a", "a tmpfs has no source" },
		{ "type=tmpfs,target=/a,tmpfs-size=big", "is not a size" },
		{ "type=tmpfs,target=/a,tmpfs-size", "tmpfs-size has no value" },
	};

	fresh();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ok(mounts_add_mount(&s, cases[i].text, &e) < 0);
		has_str(e.msg, cases[i].says);
	}
	clean();
}

TEST(tmpfs_options_are_checked_and_exec_undoes_noexec)
{
	fresh();
	is_int(mounts_add_tmpfs(&s, "/run", &e), 0);
	is_str(last(), "tmpfs user /run noexec,nosuid,nodev");
	is_int(mounts_add_tmpfs(&s, "/t:size=64k,exec,mode=0700", &e), 0);
	is_str(last(), "tmpfs user /t nosuid,nodev,size=65536,exec,mode=0700");
	is_int(mounts_add_tmpfs(&s, "/u:size=10%", &e), 0);
	is_int(mounts_add_tmpfs(&s, "/v:size=big", &e), -EINVAL);
	is_int(mounts_add_tmpfs(&s, "/v:huge", &e), -EINVAL);
	has_str(e.msg, "unknown option \"huge\"");
	is_int(mounts_add_tmpfs(&s, "run", &e), -EINVAL);
	clean();
}

TEST(a_users_mount_replaces_a_default_one_but_not_another_of_his)
{
	fresh();
	size_t before = s.n_mounts;
	is_int(mounts_add_volume(&s, "./there:/dev/shm", &e), 0);
	is_int(s.n_mounts, before);
	is_int(mounts_add_tmpfs(&s, "/dev/shm", &e), -EINVAL);
	has_str(e.msg, "/dev/shm is mounted already");
	clean();
}

TAP_MAIN()
