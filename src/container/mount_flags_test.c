/* The tables of mounts, namespaces and sysctls, without any container. */
#include <sched.h>
#include <sys/mount.h>

#include "setup.h"
#include "tap.h"

static struct mount_plan parse(const char *text)
{
	char **options = strv_split(text, ',');
	struct mount_plan p;
	struct err e = { 0 };

	if (mount_options_parse(options, &p, &e) < 0)
		TAP_FAIL("%s: %s", text, e.msg);
	mount_plan_done(&p);
	strv_free(options);
	return p;
}

TEST(docker_options_come_out_as_their_flags)
{
	struct mount_plan p = parse("nosuid,noexec,nodev,ro");

	is_int(p.attrs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY);
	ok(!p.is_bind && p.propagation == 0 && p.n_data == 0);
	p = parse("rbind,rslave");
	ok(p.is_bind && p.is_recursive && p.is_propagation_recursive);
	is_int(p.propagation, MS_SLAVE);
	p = parse("bind,rro");
	ok(p.is_bind && !p.is_recursive);
	is_int(p.rec_attrs, MOUNT_ATTR_RDONLY);
}

TEST(the_last_word_wins)
{
	is_int(parse("ro,rw").attrs, 0);
	is_int(parse("rw,ro").attrs, MOUNT_ATTR_RDONLY);
	is_int(parse("noatime,strictatime").atime, MOUNT_ATTR_STRICTATIME);
	is_int(parse("rslave,private").propagation, MS_PRIVATE);
}

TEST(what_no_table_knows_is_left_for_the_filesystem)
{
	char **options = strv_split("nosuid,mode=755,size=64k", ',');
	struct mount_plan p;

	is_int(mount_options_parse(options, &p, NULL), 0);
	is_int(p.n_data, 2);
	is_str(p.data[0], "mode=755");
	is_str(p.data[1], "size=64k");
	mount_plan_done(&p);
	strv_free(options);
}

/* config.md, "Linux mount options": each word of the table is known, so that none reaches a filesystem that is not its. */
TEST(every_option_of_the_specification_is_known)
{
	static const char *const words =
		"acl,async,atime,bind,defaults,dev,diratime,dirsync,exec,iversion,lazytime,loud,mand,noatime,nodev,nodiratime,"
		"noexec,"
		"noiversion,nolazytime,nomand,norelatime,nostrictatime,nosuid,nosymfollow,private,ratime,rbind,rdev,rdiratime,"
		"relatime,remount,rexec,rnoatime,rnodiratime,rnoexec,rnorelatime,rnostrictatime,rnosuid,rnosymfollow,ro,rprivate,"
		"rrelatime,rro,rrw,rshared,rslave,rstrictatime,rsuid,rsymfollow,runbindable,rw,shared,silent,slave,strictatime,"
		"suid,symfollow,sync,tmpcopyup,unbindable,idmap,ridmap";
	char **options = strv_split(words, ',');
	struct mount_plan p;

	is_int(mount_options_parse(options, &p, NULL), 0);
	is_int(p.n_data, 0);
	is_int(p.n_super, 7);
	ok(p.is_idmap && p.is_idmap_recursive && p.is_remount && p.is_copyup && p.has_rec_atime);
	mount_plan_done(&p);
	strv_free(options);
}

TEST(root_propagation_is_one_of_eight_words)
{
	struct err e = { 0 };
	uint64_t p;
	bool is_recursive;

	is_int(mount_propagation_parse("rshared", &p, &is_recursive, &e), 0);
	ok(p == MS_SHARED && is_recursive);
	is_int(mount_propagation_parse(NULL, &p, &is_recursive, &e), 0);
	is_int(p, 0);
	is_int(mount_propagation_parse("ro", &p, &is_recursive, &e), -EINVAL);
	has_str(e.msg, "\"ro\"");
}

TEST(a_path_is_under_a_directory_by_components)
{
	ok(path_is_under("/proc", "/proc"));
	ok(path_is_under("/proc/sys", "/proc"));
	ok(path_is_under("//proc/./sys/", "/proc/"));
	ok(path_is_under("/a", "/"));
	ok(!path_is_under("/process", "/proc"));
	ok(!path_is_under("/", "/proc"));
	ok(!path_is_under("/pro", "/proc"));
	ok(path_is_under("/./proc", "/proc/."));
}

TEST(each_namespace_has_its_own_flag_and_place_in_the_order)
{
	uint64_t all = 0;
	unsigned seen = 0;

	for (int n = 0; n < NS_COUNT; n++) {
		ok(ns_table[n].oci && ns_table[n].proc && ns_table[n].clone_flag);
		is_int(all & ns_table[n].clone_flag, 0);
		all |= ns_table[n].clone_flag;
		seen |= 1U << ns_join_order[n];
	}
	is_int(seen, (1U << NS_COUNT) - 1);
	is_int(ns_join_order[0], NS_USER);
	is_int(ns_join_order[NS_COUNT - 1], NS_MOUNT);
}

TEST(the_cgroup_namespace_is_never_made_by_clone)
{
	struct spec s = { 0 };

	for (int n = 0; n < NS_COUNT; n++)
		s.ns.wanted[n] = true;
	is_int(ns_clone_flags(&s) & CLONE_NEWCGROUP, 0);
	ok(ns_clone_flags(&s) & CLONE_NEWIPC);
	s.ns.path[NS_IPC] = (char[]){ "/proc/1/ns/ipc" };
	is_int(ns_clone_flags(&s) & CLONE_NEWIPC, 0);
}

TEST(only_sysctls_of_namespaces_other_than_the_hosts_are_allowed)
{
	static const char *const never[] = { "kernel.core_pattern",
					     "kernel.hostname",
					     "vm.swappiness",
					     "fs.file-max",
					     "net",
					     "net.",
					     "kernel.sem.x",
					     "kernel.shm",
					     "",
					     "fs.mqueue." };
	struct spec spec = { 0 };
	struct container_args args = { .spec = &spec }, others = { .spec = &spec };
	struct setup s = { .args = &args, .spec = &spec };

	spec.ns.wanted[NS_IPC] = true;
	spec.ns.wanted[NS_NET] = true;
	ok(sysctl_is_allowed(&s, "kernel.shmmax"));
	ok(sysctl_is_allowed(&s, "fs.mqueue.msg_max"));
	ok(sysctl_is_allowed(&s, "net.ipv4.ip_forward"));
	ok(!sysctl_is_allowed(&s, "kernel.domainname"));
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		if (sysctl_is_allowed(&s, never[i]))
			TAP_FAIL("%s is allowed", never[i]);
	spec.ns.path[NS_NET] = (char[]){ "/run/netns/x" };
	ok(sysctl_is_allowed(&s, "net.ipv4.ip_forward"));
	s.ns_is_callers[NS_NET] = true;
	ok(!sysctl_is_allowed(&s, "net.ipv4.ip_forward"));
	spec.ns.wanted[NS_IPC] = false;
	ok(!sysctl_is_allowed(&s, "kernel.shmmax"));
	args.owns_network = true;
	ok(!sysctl_is_allowed(&s, "net.ipv4.ip_forward")); /* this one is somebody's */
	spec.ns.wanted[NS_NET] = false;
	ok(sysctl_is_allowed(&s, "net.ipv4.ip_forward"));
	ok(!sysctl_is_allowed(&s, "kernel.shmmax"));
	s.args = &others;
	ok(!sysctl_is_allowed(&s, "net.ipv4.ip_forward"));
}

TAP_MAIN()
