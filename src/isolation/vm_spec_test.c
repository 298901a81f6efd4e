#include "tap.h"
#include "vm_impl.h"

/* The default spec and two volumes, one of them read-only. */
static void make(struct spec *s, struct launch *l)
{
	static const char *const volumes[][3] = { { "/srv/data", "/data", "rw" }, { "/shares/odd", "/ro", "ro" } };
	struct err e = { 0 };

	*l = (struct launch){ .version = 1 };
	is_int(spec_default(s, &e), 0);
	s->mounts = reallocarray(s->mounts, s->n_mounts + 2, sizeof(*s->mounts));
	for (size_t i = 0; i < 2; i++) {
		struct spec_mount *m = &s->mounts[s->n_mounts++];

		*m = (struct spec_mount){ .destination = strdup(volumes[i][1]),
					  .type = strdup("bind"),
					  .source = strdup(volumes[i][0]) };
		strv_push(&m->options, "rbind");
		strv_push(&m->options, volumes[i][2]);
	}
}

TEST(how_long_a_guest_may_trust_what_it_knows_is_each_volumes_own)
{
	struct spec s;
	struct launch l;
	struct vm_share *shares = NULL;
	size_t n = 0;

	make(&s, &l);
	strv_push(&s.mounts[s.n_mounts - 2].options, "consistent");
	strv_push(&s.mounts[s.n_mounts - 2].options, "cached"); /* the last one said */
	is_int(vm_spec_shares(&s, &l, &shares, &n), 0);
	is_str(shares[0].trust, "cached");
	ok(!shares[1].trust);
	free(shares);
	spec_done(&s);
}

TEST(volumes_become_numbered_shares_and_the_hosts_paths_stay_behind)
{
	struct spec s, g;
	struct launch l;
	struct vm_share *shares = NULL;
	struct err e = { 0 };
	size_t n = 0;

	make(&s, &l);
	is_int(vm_spec_for_guest(&s, &l, &g, &shares, &n, &e), 0);
	is_int(n, 2);
	is_str(shares[0].source, "/srv/data");
	ok(!shares[0].is_readonly);
	is_str(shares[1].source, "/shares/odd");
	ok(shares[1].is_readonly);
	is_int(g.n_mounts, s.n_mounts);
	is_str(g.mounts[s.n_mounts - 2].source, "/shares/0");
	is_str(g.mounts[s.n_mounts - 1].source, "/shares/1");
	is_str(s.mounts[s.n_mounts - 1].source, "/shares/odd"); /* the host's own is untouched */
	vm_spec_done(&g);
	free(shares);
	spec_done(&s);
}

TEST(in_a_pods_machine_each_containers_volumes_have_names_of_their_own)
{
	char id[] = "0123456789abcdef", pod[] = "pod";
	struct vm_share *shares = NULL, *alone = NULL;
	struct spec s, g;
	struct launch l;
	struct err e = { 0 };
	size_t n = 0, n_alone = 0;

	make(&s, &l);
	l.id = id;
	l.pod = pod;
	is_int(vm_spec_for_guest(&s, &l, &g, &shares, &n, &e), 0);
	is_str(g.mounts[s.n_mounts - 1].source, "/shares/0123456789ab.1");
	is_int(vm_spec_shares(&s, &l, &alone, &n_alone), 0); /* as who makes the machine sees them */
	ok(n > 0 && n_alone == n && alone && shares);
	for (size_t i = 0; i < n; i++) {
		is_str(alone[i].name, shares[i].name);
		is_str(alone[i].source, shares[i].source);
		is_int(alone[i].is_readonly, shares[i].is_readonly);
	}
	vm_spec_done(&g);
	free(shares);
	free(alone);
	spec_done(&s);
}

TEST(limits_that_name_the_hosts_devices_and_cpus_do_not_cross)
{
	struct spec s, g;
	struct launch l;
	struct vm_share *shares = NULL;
	struct err e = { 0 };
	size_t n = 0;

	make(&s, &l);
	s.resources.cpuset_cpus = strdup("0-1");
	s.resources.memory_limit = 64 << 20;
	s.resources.read_bps = calloc(1, sizeof(*s.resources.read_bps));
	s.resources.n_read_bps = 1;
	is_int(vm_spec_for_guest(&s, &l, &g, &shares, &n, &e), 0);
	ok(!g.resources.cpuset_cpus);
	is_int(g.resources.n_read_bps, 0);
	is_int(g.resources.memory_limit, 64 << 20);
	vm_spec_done(&g);
	free(shares);
	spec_done(&s);
}

TEST(what_makes_no_sense_behind_this_wall_is_refused_by_name)
{
	struct spec s, g;
	struct launch l;
	struct vm_share *shares = NULL;
	struct err e = { 0 };
	size_t n = 0;

	make(&s, &l);
	l.host_network = true;
	is_int(vm_spec_for_guest(&s, &l, &g, &shares, &n, &e), -EINVAL);
	has_str(e.msg, "--network host");
	l.host_network = false;
	s.devices = calloc(1, sizeof(*s.devices));
	s.devices[0] = (struct spec_device){ .path = strdup("/dev/sda"), .type = 'b' };
	s.n_devices = 1;
	is_int(vm_spec_for_guest(&s, &l, &g, &shares, &n, &e), -EINVAL);
	has_str(e.msg, "--device /dev/sda");
	s.n_devices = 0;
	free(s.devices[0].path);
	s.ns.path[NS_NET] = strdup("/proc/1/ns/net");
	is_int(vm_spec_for_guest(&s, &l, &g, &shares, &n, &e), -EINVAL);
	has_str(e.msg, "network namespace");
	spec_done(&s);
}

TAP_MAIN()
