#include <stdio.h>
#include <unistd.h>

#include "isolation.h"
#include "tap.h"

#define ID "5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed"

/* The cgroup is where config.json says, not where the default would be: --cgroup-parent. */
static void swept_by(const struct isolation_ops *ops)
{
	char dir[] = "/tmp/berth-sweep-XXXXXX", cgroup[64], config[256];
	struct paths p = { .root = mkdtemp(dir) };
	struct err e = { 0 };
	struct host h = { 0 };
	struct spec spec;
	struct cgroup *cg;

	if (geteuid() != 0)
		skip("needs root");
	ok(p.root);
	snprintf(cgroup, sizeof(cgroup), "/berth-sweep-%s-%d", ops->name, getpid());
	snprintf(config, sizeof(config),
		 "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"cwd\":\"/\",\"args\":[\"true\"],"
		 "\"user\":{\"uid\":0,\"gid\":0}},\"linux\":{\"cgroupsPath\":\"%s\"}}",
		 cgroup);
	is_int(mkdir_p(AT_FDCWD, tap_keep(str_fmt("%s/containers/" ID, dir)), 0700), 0);
	int fd = open(tap_keep(str_fmt("%s/containers/" ID "/config.json", dir)), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	is_int(fd_write_full(fd, config, strlen(config)), 0);
	fd_close(fd);
	spec_init(&spec);
	is_int(host_probe_cgroup(&h, &e), 0);
	if (cgroup_create(&h, cgroup, &spec.resources, &cg, &e) < 0)
		TAP_FAIL("%s", e.msg);
	cgroup_free(cg);
	is_int(ops->sweep(&h, &p, ID, &e), 0);
	is_int(cgroup_open(&h, cgroup, &cg, &e), -ENOENT);
	is_int(ops->sweep(&h, &p, ID, &e), 0); /* nothing left is no error */
	is_int(rm_rf(AT_FDCWD, dir), 0);
	host_done(&h);
	spec_done(&spec);
}

TEST(a_containers_cgroup_is_swept_where_its_config_says) { swept_by(&isolation_container); }

TEST(a_virtual_machines_cgroup_is_swept_where_its_config_says) { swept_by(&isolation_vm); }

TAP_MAIN()
