/* The container's secrets, from the bundle's secrets.json: read once, given at each start: files beside those of launch.json, and
 * variables, which exec'd processes get as well. They are in no document that leaves this process but for the guest's. */
#include <string.h>

#include "monitor_impl.h"

#define SECRETS_FILE_MAX (64u << 20)

int monitor_secrets_load(struct monitor *m, int dirfd, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	if (!m->launch.secret_paths && !m->launch.secret_env)
		return 0;
	r = file_read(dirfd, SECRETS_FILE, SECRETS_FILE_MAX, &text, &len);
	if (r < 0)
		return err_set(e, -r, "the container's copy of its secrets (" SECRETS_FILE "): %s", strerror(-r));
	r = secrets_parse(text, len, &m->secrets, e);
	explicit_bzero(text, len);
	return r;
}

static bool has_file(const struct launch *l, const char *path)
{
	for (size_t i = 0; i < l->n_files; i++)
		if (streq(l->files[i].path, path))
			return true;
	return false;
}

static int add_file(struct launch *l, const struct launch_file *f)
{
	struct launch_file *grown;

	if (has_file(l, f->path)) /* of the life before */
		return 0;
	grown = reallocarray(l->files, l->n_files + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	l->files = grown;
	grown[l->n_files] = *f;
	grown[l->n_files].path = strdup(f->path);
	grown[l->n_files].content = strdup(f->content);
	l->n_files++;
	return grown[l->n_files - 1].path && grown[l->n_files - 1].content ? 0 : -ENOMEM;
}

int monitor_secrets_env(const struct monitor *m, char ***env, struct err *e)
{
	for (size_t i = 0; i < m->secrets.n_env; i++) {
		const struct secret_env *s = &m->secrets.env[i];
		_cleanup_free_ uint8_t *value = NULL;
		size_t n = 0;
		int r = base64_decode(s->value, &value, &n);

		if (r < 0)
			return err_set(e, -r, SECRETS_FILE ": .env[%zu]: not base64", i);
		_cleanup_free_ char *pair = str_fmt("%s=%s", s->name, (const char *)value);
		explicit_bzero(value, n);
		if (!pair || env_set(env, pair) < 0)
			return err_set(e, ENOMEM, "out of memory");
		explicit_bzero(pair, strlen(pair));
	}
	return 0;
}

int monitor_secrets_give(struct monitor *m, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->secrets.n_files; i++)
		r = add_file(&m->launch, &m->secrets.files[i]);
	return r < 0 ? err_set(e, ENOMEM, "out of memory") : monitor_secrets_env(m, &m->spec.process.env, e);
}
