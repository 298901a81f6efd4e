/* Names on a network: a dnsmasq that listens on the gateway's addresses only, started by the first attach and ended when the bridge has
 * gone. What it knows is files: state_dir/NETWORK/hosts/DEVICE, one an endpoint, which it watches. Beside them: pid, written by it, and
 * bridge, the device whose end is its own. All of it is written by berth-net in its turn. */
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "dnsmasq.h"
#include "impl.h"

#define HOSTS_OPTION "--hostsdir=" DNSMASQ_SEES
enum { DEVICES_MAX = 64 * (IFNAMSIZ + 1) };

static bool has_resolver(const struct net_network *net) { return net->has_names && streq(net->driver, "bridge"); }

static int options(const struct net_network *net, char ***ret)
{
	static const char *const always[] = { "--conf-file=/dev/null", HOSTS_OPTION, "--resolv-file=/etc/resolv.conf",
					      "--cache-size=1000" };
	char **v = NULL;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(always) && r >= 0; i++)
		r = strv_push(&v, always[i]);
	for (size_t i = 0; i < net->n_subnets && r >= 0; i++)
		if (net->subnets[i].gateway)
			r = strv_push_take(&v, str_fmt("--listen-address=%s", net->subnets[i].gateway));
	if (r >= 0 && (net->is_internal || (net->upstreams && net->upstreams[0])))
		r = strv_push(&v, "--no-resolv");
	for (char **u = net->upstreams; u && *u && r >= 0 && !net->is_internal; u++)
		r = strv_push_take(&v, str_fmt("--server=%s", *u));
	if (r < 0)
		strv_free(v);
	else
		*ret = v;
	return r;
}

static int open_dir(const char *state_dir, const char *network, char **ret_path)
{
	_cleanup_free_ char *hosts = str_fmt("%s/%s/hosts", state_dir, network);
	int r = hosts ? mkdir_p(AT_FDCWD, hosts, 0755) : -ENOMEM;

	return r < 0 ? r : dnsmasq_dir(state_dir, network, true, ret_path);
}

static int start(const struct net_network *net, const char *dir, struct err *e)
{
	_cleanup_free_ char *hosts = str_fmt("%s/hosts", dir), *whose = str_fmt("the network %s", net->name);
	_cleanup_strv_ char **v = NULL;
	int r;

	if (!hosts || !whose || options(net, &v) < 0)
		return err_set(e, ENOMEM, "the resolver: %s", strerror(ENOMEM));
	r = dnsmasq_start(dir, hosts, v, whose, e);
	if (r == -EIO) {
		const struct err why = *e;
		err_set(e, EIO, "%.350s (where a program of this host has port 53 of every address, let it leave %s out)",
			why.msg, net->device);
	}
	return r;
}

int resolver_up(const char *state_dir, const struct net_network *net, struct err *e)
{
	_cleanup_free_ char *dir = NULL;
	_cleanup_fd_ int dirfd = -1, pidfd = -1;
	int r;

	if (!has_resolver(net))
		return 0;
	dirfd = open_dir(state_dir, net->id, &dir);
	r = dirfd < 0 ? dirfd : file_replace(dirfd, "bridge", net->device, strlen(net->device), 0644, false);
	if (r < 0)
		return err_set(e, -r, "%s/%s: %s", state_dir, net->id, strerror(-r));
	pidfd = dnsmasq_find(dirfd, dir);
	return pidfd >= 0 ? 0 : start(net, dir, e);
}

static int write_names(const char *state_dir, const struct net_endpoint *ep)
{
	_cleanup_fd_ int dirfd = dnsmasq_dir(state_dir, ep->network.id, false, NULL);
	_cleanup_free_ char *to = str_fmt("hosts/%s", ep->device);
	_cleanup_buf_ struct buf text = { 0 };
	int r;

	if (dirfd < 0 || !to)
		return dirfd < 0 ? dirfd : -ENOMEM;
	for (char **a = ep->addresses; a && *a; a++) {
		buf_add(&text, *a, strcspn(*a, "/"));
		for (char **name = ep->names; *name; name++)
			buf_fmt(&text, " %s", *name);
		buf_str(&text, "\n");
	}
	if (text.failed)
		return -ENOMEM;
	/* It watches for whole files that come into the directory. */
	r = file_replace(dirfd, "next", text.data ? text.data : "", text.len, 0644, false);
	if (r >= 0 && renameat(dirfd, "next", dirfd, to) < 0)
		r = -errno;
	return r;
}

int resolver_names(const char *state_dir, const struct net_endpoint *ep, struct err *e)
{
	int r;

	if (!has_resolver(&ep->network) || !ep->names || !ep->names[0])
		return 0;
	r = write_names(state_dir, ep);
	return r < 0 ? err_set(e, -r, "names of %s in %s/%s: %s", ep->name, state_dir, ep->network.id, strerror(-r)) : 0;
}

int resolver_forget(const char *state_dir, const struct net_endpoint *ep, struct err *e)
{
	_cleanup_free_ char *to = str_fmt("hosts/%s", ep->device);
	_cleanup_fd_ int dirfd = -1;
	int r;

	if (!has_resolver(&ep->network))
		return 0;
	dirfd = dnsmasq_dir(state_dir, ep->network.id, false, NULL);
	r = dirfd < 0 ? dirfd : !to ? -ENOMEM : unlinkat(dirfd, to, 0) < 0 ? -errno : 0;
	return r < 0 && r != -ENOENT ? err_set(e, -r, "names in %s/%s: %s", state_dir, ep->network.id, strerror(-r)) : 0;
}

/* Whether any of the devices that it lives for is there. */
static bool has_device(struct nets *n, int dirfd)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_strv_ char **devices = NULL;
	struct link l;

	if (file_read(dirfd, "bridge", DEVICES_MAX, &text, NULL) < 0 || !(devices = strv_split(text, '\n')))
		return false;
	for (char **d = devices; *d; d++)
		if (**d && link_find(&n->route, *d, &l) >= 0)
			return true;
	return false;
}

static int sweep_one(struct nets *n, const char *state_dir, int statefd, const char *name)
{
	_cleanup_free_ char *dir = NULL;
	_cleanup_fd_ int dirfd = dnsmasq_dir(state_dir, name, false, &dir);

	if (streq(name, NET_CNI_DIR)) /* cni.c's */
		return 0;
	if (dirfd < 0)
		return dirfd == -ENOTDIR ? 0 : dirfd;
	if (has_device(n, dirfd))
		return 0;
	dnsmasq_end(dirfd, dir);
	return rm_rf(statefd, name);
}

int resolver_sweep(struct nets *n, const char *state_dir, struct err *e)
{
	DIR *d = opendir(state_dir);
	struct dirent *entry;
	int r = d ? 0 : -errno;

	if (r == -ENOENT)
		return 0;
	while (d && r >= 0 && (r = dir_next(d, &entry)) > 0)
		r = sweep_one(n, state_dir, dirfd(d), entry->d_name);
	if (d)
		closedir(d);
	return r < 0 ? err_set(e, -r, "%s: %s", state_dir, strerror(-r)) : 0;
}
