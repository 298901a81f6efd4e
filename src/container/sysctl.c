/* sysctl: kernel parameters of the container's namespaces. Only those that the kernel keeps per namespace, and only when that
 * is new or, joined, not the caller's own: any other would change the host. (Podman makes the network namespace itself, and a
 * pod's first container those of the others.) Called as step `sysctl`, before the container's /proc has any read-only part. */
#include <unistd.h>

#include "setup.h"

/* What the kernel keeps per namespace (ipc/ipc_sysctl.c, ipc/mq_sysctl.c, kernel/utsname_sysctl.c, net/). A row that ends in
 * a dot is a prefix. kernel.hostname is `hostname` of config.json. */
static const struct {
	const char *key;
	enum spec_ns ns;
} sysctl_table[] = {
	{ "kernel.msgmax", NS_IPC }, { "kernel.msgmnb", NS_IPC },
	{ "kernel.msgmni", NS_IPC }, { "kernel.sem", NS_IPC },
	{ "kernel.shmall", NS_IPC }, { "kernel.shmmax", NS_IPC },
	{ "kernel.shmmni", NS_IPC }, { "kernel.shm_rmid_forced", NS_IPC },
	{ "fs.mqueue.", NS_IPC },    { "kernel.domainname", NS_UTS },
	{ "net.", NS_NET },
};

static bool key_matches(const char *row, const char *key)
{
	size_t n = strlen(row);

	return row[n - 1] == '.' ? strncmp(row, key, n) == 0 && key[n] : streq(row, key);
}

bool sysctl_is_allowed(const struct setup *s, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(sysctl_table); i++)
		if (key_matches(sysctl_table[i].key, key))
			return (sysctl_table[i].ns == NS_NET && net_is_lent(s)) ||
			       (s->spec->ns.wanted[sysctl_table[i].ns] && !s->ns_is_callers[sysctl_table[i].ns]);
	return false;
}

/* sysctl(8) takes "net/ipv4/conf/eth0.1/forwarding" too: where the first separator is a slash the two have changed places. */
static char *with_dots(const char *key)
{
	char *s = strdup(key), *sep = s ? strpbrk(s, "./") : NULL;

	if (!sep || *sep == '.')
		return s;
	for (; *sep; sep++)
		if (*sep == '.' || *sep == '/')
			*sep = *sep == '.' ? '/' : '.';
	return s;
}

/* "net.ipv4.ip_forward" -> "sys/net/ipv4/ip_forward"; a '/' in the key stands for a '.' in a name (an interface "eth0.1"),
 * as sysctl(8) has it. A key is letters, digits and "_-:" between separators: no "..", no empty part. */
static int key_to_path(const char *key, char *path, size_t n)
{
	size_t len = (size_t)snprintf(path, n, "sys/%s", key);

	if (len >= n)
		return -ENAMETOOLONG;
	for (char *p = path + 4; *p; p++) {
		bool is_sep = *p == '.' || *p == '/';

		if (is_sep && (p[-1] == '/' || !p[1]))
			return -EINVAL;
		if (!is_sep && !(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') &&
		    !strchr("_-:", *p))
			return -EINVAL;
		if (is_sep)
			*p = *p == '.' ? '/' : '.';
	}
	return strstr(path, "/../") || strstr(path, "/./") || strstr(path, "//") ? -EINVAL : 0;
}

static int set_one(struct setup *s, const char *key, const char *value, struct err *e)
{
	_cleanup_free_ char *dotted = with_dots(key);
	char path[256];
	int r = dotted ? key_to_path(dotted, path, sizeof(path)) : -ENOMEM;

	if (r < 0)
		return err_set(e, -r, "\"%s\" is not the name of a sysctl", key);
	if (!sysctl_is_allowed(s, dotted))
		return err_set(e, EPERM,
			       "%s is not the container's own: only sysctls of namespaces that it does not share with the host "
			       "can be set",
			       key);
	r = procfs_write(s, path, value);
	return r < 0 ? err_set(e, -r, "%s = \"%s\": %s", key, value, strerror(-r)) : 0;
}

int sysctl_apply(struct setup *s, struct err *e)
{
	const struct string_map *m = &s->spec->sysctl;
	int r = 0;

	for (size_t i = 0; m->keys && m->keys[i] && r == 0; i++)
		r = set_one(s, m->keys[i], m->values[i], e);
	return r;
}
