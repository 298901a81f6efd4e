/* files.c: the host's name, and the three files below /etc that tell it to the container. */
#include "engine_impl.h"

#include <unistd.h>

#define RESOLV_MAX     (64u << 10)
#define ZONE_MAX       (64u << 10) /* the largest of tzdata is below 4 KiB */
#define ZONES          "/usr/share/zoneinfo/"
#define HOST_LABEL_MAX 63 /* Linux: HOST_NAME_MAX is 64 with the NUL */

bool hostname_is_valid(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	size_t n = strlen(s);

	return n > 0 && n <= HOST_LABEL_MAX && s[strspn(s, letters)] == 0 && *s != '-' && *s != '.';
}

static int add_file(struct launch *l, const char *path, const char *content, struct err *e)
{
	struct launch_file *grown = reallocarray(l->files, l->n_files + 1, sizeof(*grown));

	if (!grown)
		return OUT_OF_MEMORY(e);
	l->files = grown;
	struct launch_file f = { .path = strdup(path), .content = strdup(content), .mode = 0644 };
	if (!f.path || !f.content) {
		free(f.path);
		free(f.content);
		return OUT_OF_MEMORY(e);
	}
	l->files[l->n_files++] = f;
	return 0;
}

/* The host's own files serve a container that shares its network. */
static int add_host_copy(struct launch *l, const char *path, const char *otherwise, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = file_read(AT_FDCWD, path, RESOLV_MAX, &text, &len);

	if (r == -ENOENT)
		return add_file(l, path, otherwise, e);
	if (r < 0)
		return err_set(e, -r, "%s of the host: %s", path, strerror(-r));
	return add_file(l, path, text, e);
}

/* Did the user mount something of his own there? */
static bool is_taken(const struct spec *s, const char *path)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const char *d = s->mounts[i].destination;
		if (streq(d, path) || streq(d, "/etc"))
			return true;
	}
	return false;
}

const char files_hosts_head[] = "127.0.0.1\tlocalhost\n"
				"::1\tlocalhost ip6-localhost ip6-loopback\n"
				"fe00::\tip6-localnet\n"
				"ff00::\tip6-mcastprefix\n"
				"ff02::1\tip6-allnodes\n"
				"ff02::2\tip6-allrouters\n";

static int add_hosts(struct plan *p, bool shares_net, struct err *e)
{
	_cleanup_free_ char *own = str_fmt("%s127.0.1.1\t%s\n", files_hosts_head, p->hostname);

	if (!own)
		return OUT_OF_MEMORY(e);
	return shares_net ? add_host_copy(&p->launch, "/etc/hosts", own, e) : add_file(&p->launch, "/etc/hosts", own, e);
}

/* --tz: a copy of the host's description of the zone, so that the image needs none. "local": the host's own. */
static int add_timezone(struct plan *p, struct err *e)
{
	const char *zone = p->o->timezone;
	_cleanup_free_ char *path = NULL, *data = NULL, *text = NULL;
	size_t len = 0;
	int r;

	if (!zone || !*zone)
		return 0;
	if (*zone == '/' || strstr(zone, ".."))
		return err_set(e, EINVAL, "--tz: \"%s\" is no time zone such as Europe/Berlin, nor \"local\"", zone);
	path = streq(zone, "local") ? strdup("/etc/localtime") : str_fmt(ZONES "%s", zone);
	if (!path)
		return OUT_OF_MEMORY(e);
	r = file_read(AT_FDCWD, path, ZONE_MAX, &data, &len);
	if (r == -ENOENT && access(ZONES, F_OK) < 0)
		return err_set(e, ENOENT, "--tz: this host has no time zones in " ZONES ": install tzdata");
	if (r < 0 || len < 4 || memcmp(data, "TZif", 4) != 0)
		return err_set(e, r < 0 ? -r : EINVAL, "--tz: unknown time zone %s: %s %s", zone, path,
			       r < 0 ? strerror(-r) : "describes none");
	text = base64_encode(data, len);
	if (!text)
		return OUT_OF_MEMORY(e);
	r = add_file(&p->launch, "/etc/localtime", text, e);
	if (r >= 0)
		p->launch.files[p->launch.n_files - 1].is_base64 = true;
	return r;
}

/* The plan has it; what a container writes there later is for those that look from then on. */
static int pod_hostname(struct plan *p, struct err *e)
{
	_cleanup_(spec_done) struct spec pod;
	int r;

	spec_init(&pod);
	r = pod_read_plan(p->en->paths, p->pod.id, &pod, e);
	if (r < 0)
		return r;
	free(p->hostname);
	p->hostname = strdup(pod.hostname ? pod.hostname : p->pod.name);
	return p->hostname ? 0 : OUT_OF_MEMORY(e);
}

static int set_hostname(struct plan *p, bool shares_uts, struct err *e)
{
	char own[HOST_LABEL_MAX + 2] = "";
	int r = plan_is_pods(p, "--hostname", p->o->hostname, NS_UTS, e);

	if (r < 0)
		return r;
	if (r > 0)
		return pod_hostname(p, e);

	if (p->o->hostname && *p->o->hostname) {
		if (!hostname_is_valid(p->o->hostname))
			return err_set(e, EINVAL,
				       "--hostname: \"%s\" is not a host name: letters, digits, '-' and '.', at most %d",
				       p->o->hostname, HOST_LABEL_MAX);
		if (shares_uts)
			return err_set(e, EINVAL, "--hostname can't be given with --uts host");
	}
	/* With the host's network the host's name is what resolves there (docker does the same). */
	if (p->launch.host_network || shares_uts)
		gethostname(own, sizeof(own) - 1);
	free(p->hostname);
	p->hostname = p->o->hostname && *p->o->hostname ? strdup(p->o->hostname) : *own ? strdup(own) : strndup(p->id, 12);
	return p->hostname ? 0 : OUT_OF_MEMORY(e);
}

int plan_files(struct plan *p, struct err *e)
{
	bool shares_net = p->launch.host_network, shares_uts = !p->spec.ns.wanted[NS_UTS];
	_cleanup_free_ char *line = NULL;
	int r = set_hostname(p, shares_uts, e);

	if (r < 0)
		return r;
	line = str_fmt("%s\n", p->hostname);
	if (!line)
		return OUT_OF_MEMORY(e);
	if (!is_taken(&p->spec, "/etc/hostname"))
		r = add_file(&p->launch, "/etc/hostname", line, e);
	if (r >= 0 && !p->o->no_hosts && !is_taken(&p->spec, "/etc/hosts"))
		r = add_hosts(p, shares_net, e);
	if (r >= 0 && !is_taken(&p->spec, "/etc/resolv.conf"))
		r = shares_net ? add_host_copy(&p->launch, "/etc/resolv.conf", "", e)
			       : add_file(&p->launch, "/etc/resolv.conf", "# --network none: nobody to ask\n",
					  e); /* or what is said at its start */
	if (r >= 0)
		r = add_timezone(p, e);
	/* sethostname(2) is the UTS namespace's: a shared one is left alone. */
	if (r >= 0 && !shares_uts) {
		free(p->spec.hostname);
		p->spec.hostname = strdup(p->hostname);
		r = p->spec.hostname ? 0 : OUT_OF_MEMORY(e);
	}
	return r;
}
