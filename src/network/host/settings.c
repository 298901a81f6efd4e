/* The kernel's settings, in /proc/sys/net: of the namespace that the caller is in. */
#include <dirent.h>
#include <stdio.h>

#include "impl.h"

#define FORWARD4 "/proc/sys/net/ipv4/ip_forward"
#define FORWARD6 "/proc/sys/net/ipv6/conf/all/forwarding"

static bool is_set(const char *path, const char *value)
{
	_cleanup_free_ char *now = NULL;

	return file_read(AT_FDCWD, path, 64, &now, NULL) >= 0 && str_after(now, value) && now[strlen(value)] == '\n';
}

/* Written only where it is another: some settings reset others. */
static int set(const char *path, const char *value, struct err *e)
{
	int r;

	if (is_set(path, value))
		return 0;
	r = file_write(AT_FDCWD, path, value);
	return r < 0 ? err_set(e, -r, "%s: %s", path, strerror(-r)) : 0;
}

static int set_of(const char *family, const char *device, const char *name, const char *value, struct err *e)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, device, name);
	return set(path, value, e);
}

/* A router hears no routers, unless it is told to (accept_ra 2): the host keeps the routes that it has by them. */
static int keep_routers(struct err *e)
{
	DIR *d = opendir("/proc/sys/net/ipv6/conf");
	struct dirent *entry;
	char path[sizeof("/proc/sys/net/ipv6/conf//accept_ra") + 256];
	int r = d ? 0 : -errno;

	while (d && r >= 0 && (r = dir_next(d, &entry)) > 0) {
		snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%.255s/accept_ra", entry->d_name);
		if (!streq(entry->d_name, "all") && is_set(path, "1"))
			r = file_write(AT_FDCWD, path, "2");
		if (r == -ENOENT) /* gone meanwhile */
			r = 0;
	}
	if (d)
		closedir(d);
	return r < 0 ? err_set(e, -r, "/proc/sys/net/ipv6/conf: %s", strerror(-r)) : 0;
}

static int forward6(struct err *e)
{
	int r = is_set(FORWARD6, "1") ? 0 : keep_routers(e);

	return r < 0 ? r : set(FORWARD6, "1", e);
}

static bool has_ipv6(void) { return file_exists(AT_FDCWD, "/proc/sys/net/ipv6") > 0; }

int settings_bridge(const char *device, bool wants_ipv4, bool wants_ipv6, struct err *e)
{
	int r = 0;

	if (wants_ipv6 && !has_ipv6())
		return err_set(e, EAFNOSUPPORT, "this host's kernel has no IPv6: make the network without it");
	if (wants_ipv4)
		r = set(FORWARD4, "1", e);
	if (r >= 0 && wants_ipv4) /* what is published at 127.0.0.1 comes from there; see the tables for who else is kept out */
		r = set_of("ipv4", device, "route_localnet", "1", e);
	if (r >= 0 && wants_ipv6)
		r = forward6(e);
	if (r >= 0 && has_ipv6())
		r = set_of("ipv6", device, "disable_ipv6", wants_ipv6 ? "0" : "1", e);
	if (r >= 0 && wants_ipv6)
		r = set_of("ipv6", device, "accept_ra", "0", e);
	if (r >= 0 && wants_ipv6) /* its addresses are nobody else's, and of use at once */
		r = set_of("ipv6", device, "accept_dad", "0", e);
	return MIN(r, 0);
}

/* Whoever comes by it is answered by it, whatever the routes say. */
int settings_way(const char *device, struct err *e)
{
	int r = set_of("ipv4", "all", "rp_filter", "0", e);

	if (r >= 0)
		r = set_of("ipv4", device, "rp_filter", "0", e);
	if (r >= 0 && has_ipv6())
		r = set_of("ipv6", device, "accept_ra", "0", e);
	if (r >= 0 && has_ipv6())
		r = set_of("ipv6", device, "accept_dad", "0", e);
	return MIN(r, 0);
}

int settings_inside(const char *device, struct err *e)
{
	int r = set_of("ipv6", device, "accept_ra", "0", e);

	if (r >= 0)
		r = set_of("ipv6", device, "accept_dad", "0", e);
	return r < 0 ? err_push(e, r, "in the namespace") : 0;
}
