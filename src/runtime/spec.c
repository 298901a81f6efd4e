/* spec: a config.json to begin with, from the same defaults as `berth run`'s. */
#include <stdio.h>
#include <unistd.h>

#include "verbs.h"

const struct opt spec_options[] = {
	{ "bundle", 'b', OPT_STRING, offsetof(union verb_opts, spec.bundle), "DIR", "where to write it (default: here)" },
	{ "rootless", 0, OPT_FLAG, offsetof(union verb_opts, spec.is_rootless), NULL, "for a user without root's rights" },
	{ NULL },
};

static int fill_process(struct spec *s)
{
	int r = strv_push(&s->process.args, "sh");

	s->process.terminal = true;
	s->root_readonly = true;
	s->hostname = strdup("berth");
	return r == 0 && s->hostname ? strv_push(&s->process.env, "TERM=xterm") : -ENOMEM;
}

static void drop_mount(struct spec *s, size_t i)
{
	struct spec_mount *m = &s->mounts[i];

	free(m->destination);
	free(m->type);
	free(m->source);
	strv_free(m->options);
	memmove(m, m + 1, (s->n_mounts - i - 1) * sizeof(*m));
	s->n_mounts--;
}

/* Group 5 is not mapped where only one id is. */
static void drop_gid(char **options)
{
	char **to = options;

	for (char **from = options; from && *from; from++) {
		if (str_after(*from, "gid="))
			free(*from);
		else
			*to++ = *from;
	}
	if (to)
		*to = NULL;
}

/* The host's /sys, since a new sysfs belongs to a network namespace of one's own. */
static int bind_sys(struct spec_mount *m)
{
	strv_free(m->options);
	m->options = strv_split("rbind,nosuid,noexec,nodev,ro", ',');
	free(m->type);
	m->type = strdup("none");
	free(m->source);
	m->source = strdup("/sys");
	return m->options && m->type && m->source ? 0 : -ENOMEM;
}

static int map_self(struct spec_idmap **ret, size_t *ret_n, uint32_t id)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	**ret = (struct spec_idmap){ .container_id = 0, .host_id = id, .size = 1 };
	*ret_n = 1;
	return 0;
}

/* One's own id as root, the host's network, and no cgroup: what any user may have. */
static int make_rootless(struct spec *s)
{
	int r = map_self(&s->uid_mappings, &s->n_uid_mappings, geteuid());

	if (r == 0)
		r = map_self(&s->gid_mappings, &s->n_gid_mappings, getegid());
	s->ns.wanted[NS_USER] = true;
	s->ns.wanted[NS_NET] = false;
	free_ptr(&s->resources.devices);
	s->resources.n_devices = 0;
	s->resources.pids_limit = SPEC_UNSET;
	for (size_t i = s->n_mounts; i-- > 0 && r == 0;) {
		if (streq(s->mounts[i].destination, "/sys/fs/cgroup"))
			drop_mount(s, i);
		else if (streq(s->mounts[i].destination, "/dev/pts"))
			drop_gid(s->mounts[i].options);
		else if (streq(s->mounts[i].destination, "/sys"))
			r = bind_sys(&s->mounts[i]);
	}
	return r;
}

static int write_spec(const struct spec *s, const char *path, struct err *e)
{
	_cleanup_json_ struct json_object *o = spec_json(s);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
									 JSON_C_TO_STRING_NOSLASHESCAPE)
			     : NULL;
	_cleanup_fd_ int fd = -1;
	int r;

	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return errno == EEXIST ? err_set(e, EEXIST, "File %s exists. Remove it first", path)
				       : err_set(e, errno, "%s: %s", path, strerror(errno));
	r = fd_write_full(fd, text, strlen(text));
	if (r == 0)
		r = fd_write_full(fd, "\n", 1);
	return r < 0 ? err_set(e, -r, "%s: %s", path, strerror(-r)) : 0;
}

int verb_spec(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	const char *dir = opts->spec.bundle ? opts->spec.bundle : ".";
	_cleanup_free_ char *path = streq(dir, ".") ? strdup("config.json") : str_fmt("%s/config.json", dir);
	struct spec s;
	int r;

	(void)rt;
	spec_init(&s);
	r = path ? spec_default(&s, e) : err_set(e, ENOMEM, "out of memory");
	if (r == 0 && (fill_process(&s) < 0 || (opts->spec.is_rootless && make_rootless(&s) < 0)))
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0)
		r = write_spec(&s, path, e);
	spec_done(&s);
	return r;
}
