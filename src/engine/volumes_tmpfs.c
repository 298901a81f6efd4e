/* volumes_tmpfs.c: volumes in memory (-o type=tmpfs -o device=tmpfs [-o o=WORDS]), docker's words. As nothing is mounted on the host, such a
 * volume is a file system of its own in the one container that has it, and a second one is refused: it would find another's. */
#include "mounts.h"
#include "volumes_impl.h"

#include <sys/file.h>

bool volume_is_memory(const struct string_map *options) { return streq0(map_get(options, "type"), "tmpfs"); }

/* "size=64m,mode=0700", each as --tmpfs has it. */
static int tmpfs_words(const struct string_map *options, char ***ret, struct err *e)
{
	const char *text = map_get(options, "o");
	_cleanup_strv_ char **words = text && *text ? strv_split(text, ',') : NULL;

	if (text && *text && !words)
		return OUT_OF_MEMORY(e);
	for (char **w = words; w && *w; w++) {
		int r = mount_tmpfs_check(text, w, e);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(words);
	return 0;
}

int volume_check_memory(const char *name, const struct string_map *options, struct err *e)
{
	_cleanup_strv_ char **words = NULL;
	struct err why = { 0 };

	if (map_get(options, "size"))
		return err_set(e, EINVAL, "create %s: a volume of type=tmpfs has its size among the words of o=: -o o=size=%s",
			       name, map_get(options, "size"));
	if (!map_get(options, "device") || !*map_get(options, "device"))
		return err_set(e, EINVAL, "create %s: missing device in volume options: -o device=tmpfs", name);
	return tmpfs_words(options, &words, &why) < 0 ? err_set(e, why.no, "create %s: -o o=: %s", name, why.msg) : 0;
}

static bool has_word(char *const *v, const char *word)
{
	for (; v && *v; v++)
		if (streq(*v, word))
			return true;
	return false;
}

/* What was to be a bind mount of the volume's directory. */
static int become_tmpfs(struct spec_mount *m, const struct string_map *options, struct err *e)
{
	static const char *const kept[] = { "nosuid", "nodev", "noexec", "ro" };
	_cleanup_strv_ char **words = NULL;
	char *type = strdup("tmpfs"), *source = strdup("user");
	int r = type && source ? tmpfs_words(options, &words, e) : OUT_OF_MEMORY(e);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(kept); i++)
		if (has_word(m->options, kept[i]) && !has_word(words, kept[i]) && strv_push(&words, kept[i]) < 0)
			r = OUT_OF_MEMORY(e);
	if (r < 0) {
		free(type);
		free(source);
		return r;
	}
	free(m->type);
	free(m->source);
	strv_free(m->options);
	m->type = type;
	m->source = source;
	m->options = TAKE_PTR(words);
	return 0;
}

static int refuse_second(const char *name, const char *other, struct err *e)
{
	return err_set(
		e, EBUSY,
		"volume %s is memory (type=tmpfs), and container %s has it: it is one container's at a time; to share memory, "
		"mount a directory of a tmpfs of the host's, such as -v /dev/shm/%s:PATH",
		name, other, name);
}

static int check_alone(struct engine *en, const char *name, struct err *e)
{
	_cleanup_strv_ char **ids = NULL, **names = NULL;
	int r = records_volume_users(en->records, name, &ids, &names, e);

	return r < 0 || !ids ? r : refuse_second(name, *names[0] ? names[0] : ids[0], e);
}

/* Until the container's record is there nobody else looks. */
static int take_alone(struct engine *en, const char *name, int lock, struct err *e)
{
	int r = volume_lock_as(en, name, lock, LOCK_EX, e);

	if (r == 0)
		return err_set(e, ENOENT, "get %s: no such volume", name);
	return r < 0 ? r : check_alone(en, name, e);
}

int volume_mount_memory(struct engine *en, const struct volume_use *u, int lock, struct spec_mount *m, bool chowns, struct err *e)
{
	const struct string_map *options = u->made ? &u->made->options : NULL;
	struct volume_record v = { 0 };
	int r = options ? 0 : records_volume_get(en->records, u->name, &v, e);

	if (r < 0)
		return r;
	options = options ? options : &v.options;
	if (volume_is_memory(options)) {
		r = chowns ? err_set(e, EINVAL,
				     "volume %s is memory (type=tmpfs), whose owner U can't change: -o o=uid=1000,gid=1000 can",
				     u->name)
			   : 0;
		if (r >= 0 && !u->made)
			r = take_alone(en, u->name, lock, e);
		if (r >= 0)
			r = become_tmpfs(m, options, e);
	}
	volume_record_done(&v);
	return MIN(r, 0);
}

int volumes_refuse_memory(struct engine *en, const struct volume_use *uses, size_t n, const char *owner, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct volume_record v;
		r = records_volume_get(en->records, uses[i].name, &v, e);
		if (r < 0)
			return r;
		if (volume_is_memory(&v.options))
			r = refuse_second(uses[i].name, owner, e);
		volume_record_done(&v);
	}
	return r;
}
