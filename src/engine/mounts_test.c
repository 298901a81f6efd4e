/* -v, --mount and --tmpfs: what they become, and what is refused. */
#include "mounts.h"

#include <unistd.h>

#include "tap_dir.h"

static struct spec s;
static struct mounts m = { .s = &s };
static struct err e;
static void fresh(void)
{
	spec_init(&s);
	e = (struct err){ 0 };
	ok(spec_default(&s, &e) >= 0);
	tap_dir_enter();
	ok(mkdir("there", 0755) == 0);
	ok(symlink("there", "link") == 0);
}

static char *last(void)
{
	const struct spec_mount *at = &s.mounts[s.n_mounts - 1];
	struct buf b = { 0 };

	buf_fmt(&b, "%s %s %s", at->type, at->source, at->destination);
	for (char **o = at->options; o && *o; o++)
		buf_fmt(&b, "%s%s", o == at->options ? " " : ",", *o);
	return tap_keep(buf_take(&b));
}

/* "%D" in want stands for the test's directory. */
static char *with_dir(const char *want)
{
	struct buf b = { 0 };

	for (; *want; want++) {
		if (want[0] == '%' && want[1] == 'D') {
			buf_str(&b, tap_dir);
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
		{ "./there:/f:ro,cached", "bind %D/there /f rbind,rprivate,ro,nosuid,nodev,cached" },
		{ "./there:/g:delegated", "bind %D/there /g rbind,rprivate,rw,nosuid,nodev,cached" },
		{ "./there:/h:consistent", "bind %D/there /h rbind,rprivate,rw,nosuid,nodev,consistent" },
	};

	fresh();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (mounts_add_volume(&m, with_dir(cases[i].text), &e) < 0)
			TAP_FAIL("%s: %s", cases[i].text, e.msg);
		is_str(last(), with_dir(cases[i].want));
	}
	ok(access("new/deep", F_OK) == 0); /* docker's -v makes what is missing */
	tap_dir_leave();
}

TEST(wrong_volumes_are_refused_with_their_text)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "x", "is not PATH or SOURCE:PATH" },
		{ "/a:/b:ro:x", "is not PATH or SOURCE:PATH" },
		{ "d:/a", "volume name is too short" },
		{ "da/ta:/a", "includes invalid characters for a local volume name" },
		{ "_data:/a", "includes invalid characters" },
		{ "data:", "is not PATH or SOURCE:PATH" },
		{ "/tmp:b", "must be absolute" },
		{ "/tmp:/a/../b", "can't hold \"..\"" },
		{ "/tmp:/", "can't mount over \"/\"" },
		{ "/tmp:/a:rx", "unknown option \"rx\"" },
		{ ":/a", "is not PATH or SOURCE:PATH" },
		{ "data:/a/..", "can't hold" },
	};

	fresh();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t before = s.n_mounts;
		ok(mounts_add_volume(&m, cases[i].text, &e) < 0);
		has_str(e.msg, cases[i].text[0] == ':' ? "--volume" : cases[i].says);
		is_int(s.n_mounts, before);
	}
	tap_dir_leave();
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
		{ "type=bind,src=./there,target=/g,consistency=consistent",
		  "bind %D/there /g rbind,rprivate,rw,nosuid,nodev,consistent" },
		{ "type=bind,src=./there,target=/h,consistency=default", "bind %D/there /h rbind,rprivate,rw,nosuid,nodev" },
		{ "type=tmpfs,target=/e", "tmpfs user /e noexec,nosuid,nodev" },
		{ "type=tmpfs,target=/f,tmpfs-size=1m,tmpfs-mode=1770",
		  "tmpfs user /f noexec,nosuid,nodev,size=1048576,mode=1770" },
	};

	fresh();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (mounts_add_mount(&m, with_dir(cases[i].text), &e) < 0)
			TAP_FAIL("%s: %s", cases[i].text, e.msg);
		is_str(last(), with_dir(cases[i].want));
	}
	tap_dir_leave();
}

TEST(mount_refuses_what_is_missing_or_unknown)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "type=bind,source=/nonexistent/x,target=/a", "source /nonexistent/x: does not exist" },
		{ "type=bind,source=/tmp", "target=PATH is missing" },
		{ "type=bind,target=/a", "source=PATH is missing" },
		{ "type=bind,source=tmp,target=/a", "must be an absolute path" },
		{ "type=bind,source=/tmp,target=/a,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'" },
		{ "source=data,target=/a,bind-propagation=rshared", "cannot mix 'bind-*' options with mount type 'volume'" },
		{ "type=volume,source=x,target=/a", "too short" },
		{ "source=../x,target=/a", "invalid characters" },
		{ "source=data,target=/a,volume-driver=nfs", "there is no volume driver \"nfs\"" },
		{ "source=data,target=/a,volume-opt=colour=red", "is not possible" },
		{ "source=data,target=/a,volume-opt", "is not possible" },
		{ "source=data,target=/a,volume-opt=type=nfs", "mount it on the host first" },
		{ "source=data,target=/a,volume-label==x", "volume-label has no name" },
		{ "source=data,target=/a,volume-subpath=x", "mount the whole volume" },
		{ "type=nfs,source=x,target=/a", "unknown type \"nfs\"" },
		{ "type=bind,source=/tmp,target=/a,color=red", "unknown key \"color\"" },
		{ "type=bind,source=/tmp,target=/a,readonly=perhaps", "readonly is true or false" },
		{ "type=bind,source=/tmp,target=/a,bind-propagation=no", "bind-propagation is one of" },
		{ "type=bind,source=/tmp,target=/a,consistency=loose", "consistency is one of" },
		{ "type=bind,source=/tmp,target=/a,consistency", "consistency is one of" },
		{ "type=tmpfs,source=/tmp,target=/a", "a tmpfs has no source" },
		{ "type=tmpfs,target=/a,tmpfs-size=big", "is not a size" },
		{ "type=tmpfs,target=/a,tmpfs-size", "tmpfs-size has no value" },
	};

	fresh();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ok(mounts_add_mount(&m, cases[i].text, &e) < 0);
		has_str(e.msg, cases[i].says);
	}
	tap_dir_leave();
}

/* The wish: "name target flags". */
static char *wish(void)
{
	const struct mount_wish *w = &m.wishes[m.n - 1];
	struct buf b = { 0 };

	buf_fmt(&b, "%s %s%s%s%s", w->name ? w->name : "-", w->target, w->is_volume ? " volume" : "", w->no_copy ? " nocopy" : "",
		w->chowns ? " U" : "");
	for (char **l = w->labels; l && *l; l++)
		buf_fmt(&b, " %s", *l);
	for (char **o = w->options; o && *o; o++)
		buf_fmt(&b, " -o %s", *o);
	return tap_keep(buf_take(&b));
}

TEST(volumes_are_left_to_be_found_and_paths_are_made_plain)
{
	static const struct {
		int (*add)(struct mounts *m, const char *text, struct err *e);
		const char *text, *mount, *wish;
	} cases[] = {
		{ mounts_add_volume, "data:/a", "bind  /a rbind,rprivate,rw,nosuid,nodev", "data /a volume" },
		{ mounts_add_volume, "da.t-a_9://b/./c/:ro,nocopy", "bind  /b/c rbind,rprivate,ro,nosuid,nodev",
		  "da.t-a_9 /b/c volume nocopy" },
		{ mounts_add_volume, "/d/.e", "bind  /d/.e rbind,rprivate,rw,nosuid,nodev", "- /d/.e volume" },
		{ mounts_add_volume, "%D/there:/f:U", "bind %D/there /f rbind,rprivate,rw,nosuid,nodev", "- /f U" },
		{ mounts_add_volume, "data:/g:U,cached", "bind  /g rbind,rprivate,rw,nosuid,nodev,cached", "data /g volume U" },
		{ mounts_add_mount, "source=data,target=/h,volume-nocopy,volume-label=a=b,volume-driver=local,readonly",
		  "bind  /h rbind,rprivate,ro,nosuid,nodev", "data /h volume nocopy a=b" },
		{ mounts_add_mount, "src=data,dst=/j,volume-opt=size=1g,volume-opt=o=uid=1",
		  "bind  /j rbind,rprivate,rw,nosuid,nodev", "data /j volume -o size=1g -o o=uid=1" },
		{ mounts_add_mount, "type=volume,dst=/i,volume-nocopy=false", "bind  /i rbind,rprivate,rw,nosuid,nodev",
		  "- /i volume" },
	};

	fresh();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].add(&m, with_dir(cases[i].text), &e) < 0)
			TAP_FAIL("%s: %s", cases[i].text, e.msg);
		is_str(last(), with_dir(cases[i].mount));
		is_str(wish(), cases[i].wish);
		is_int(m.n, i + 1);
	}
	ok(mounts_has(&m, "/b/c") && !mounts_has(&m, "/b") && !mounts_has(&m, "/proc"));
	is_int(mounts_add_volume(&m, "other:/b/c", &e), -EINVAL);
	has_str(e.msg, "/b/c is mounted already");
	mounts_done(&m);
	tap_dir_leave();
}

TEST(tmpfs_options_are_checked_and_exec_undoes_noexec)
{
	fresh();
	is_int(mounts_add_tmpfs(&m, "/run", &e), 0);
	is_str(last(), "tmpfs user /run noexec,nosuid,nodev");
	is_int(mounts_add_tmpfs(&m, "/t:size=64k,exec,mode=0700", &e), 0);
	is_str(last(), "tmpfs user /t nosuid,nodev,size=65536,exec,mode=0700");
	is_int(mounts_add_tmpfs(&m, "/u:size=10%", &e), 0);
	is_int(mounts_add_tmpfs(&m, "/v:size=big", &e), -EINVAL);
	is_int(mounts_add_tmpfs(&m, "/v:huge", &e), -EINVAL);
	has_str(e.msg, "unknown option \"huge\"");
	is_int(mounts_add_tmpfs(&m, "run", &e), -EINVAL);
	tap_dir_leave();
}

TEST(a_users_mount_replaces_a_default_one_but_not_another_of_his)
{
	fresh();
	size_t before = s.n_mounts;
	is_int(mounts_add_volume(&m, "./there:/dev/shm", &e), 0);
	is_int(s.n_mounts, before);
	is_int(mounts_add_tmpfs(&m, "/dev/shm", &e), -EINVAL);
	has_str(e.msg, "/dev/shm is mounted already");
	tap_dir_leave();
}

TEST(what_is_below_another_mount_comes_after_it)
{
	static const char *const given[] = { "v1:/x/y/z", "v2:/b", "v3:/x", "v4:/a", "v5:/x/y" };
	static const char *const want[] = { "/b", "/x", "/a", "/x/y", "/x/y/z" };

	fresh();
	size_t before = s.n_mounts;
	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		is_int(mounts_add_volume(&m, given[i], &e), 0);
	char *first = tap_keep(strdup(s.mounts[0].destination));
	mounts_sort(&m);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		is_str(s.mounts[before + i].destination, want[i]);
	is_str(s.mounts[0].destination, first);
	mounts_done(&m);
	tap_dir_leave();
}

TAP_MAIN()
