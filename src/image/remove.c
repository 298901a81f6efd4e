/* image_remove: docker's rules for `rmi`.
 *
 * A name that is a reference is untagged. While other tags remain that is all. The last tag of an image that a container was made
 * from needs force; a running container's image loses its tag at most, never its record. An id (or prefix) removes all tags when
 * they belong to one repository, or by force. What the deleted record alone referred to is collected at once, unless a pull or
 * load is under way: then by the next collection. */
#include <string.h>

#include "store_private.h"

struct removal {
	struct store *s;
	const char *name;
	bool force;
	void (*cb)(const char *line, void *arg);
	void *arg;
	struct image image;
	char **tags; /* of the image */
};

static void removal_done(struct removal *m)
{
	image_done(&m->image);
	strv_free(m->tags);
}

static void report(struct removal *m, const char *what, const char *of)
{
	_cleanup_free_ char *line = str_fmt("%s: %s", what, of);

	if (line && m->cb)
		m->cb(line, m->arg);
}

static int untag(struct removal *m, const char *tag, struct err *e)
{
	_cleanup_(ref_done) struct ref ref = { 0 };
	_cleanup_free_ char *text = NULL;
	int r = records_tag_delete(m->s->records, tag, e);

	if (r < 0)
		return r;
	if (ref_parse(tag, NULL, &ref, NULL) == 0)
		text = ref_familiar(&ref);
	report(m, "Untagged", text ? text : tag);
	return 0;
}

/* "docker.io/library/debian:12" -> the length of what is before the tag or digest. */
static size_t repository_len(const char *tag)
{
	const char *at = strchr(tag, '@'), *slash = strrchr(tag, '/'), *colon;

	if (at)
		return (size_t)(at - tag);
	colon = strchr(slash ? slash : tag, ':');
	return colon ? (size_t)(colon - tag) : strlen(tag);
}

static bool is_one_repository(char *const *tags)
{
	for (size_t i = 1; tags && tags[0] && tags[i]; i++) {
		size_t n = repository_len(tags[0]);
		if (repository_len(tags[i]) != n || strncmp(tags[0], tags[i], n) != 0)
			return false;
	}
	return true;
}

/* 0, or -EBUSY with docker's words for what stands against deleting the image's record. */
static int conflict(struct removal *m, struct err *e)
{
	_cleanup_free_ char *user = NULL;
	const char *id = digest_hex(m->image.id);
	int r = records_image_user(m->s->records, m->image.id, true, &user, e);

	if (r < 0)
		return r;
	if (r == 1)
		return err_set(e, EBUSY,
			       "unable to delete %.12s (cannot be forced) - image is being used by running container %.12s", id,
			       user);
	if ((r = records_image_snapshot(m->s->records, m->image.id, &user, e)) < 0)
		return r;
	if (r == 1)
		return err_set(e, EBUSY,
			       "unable to delete %.12s (cannot be forced) - snapshot %.12s was taken of a VM of this image", id,
			       user);
	if (m->force)
		return 0;
	if (!is_one_repository(m->tags))
		return err_set(e, EBUSY, "unable to delete %.12s (must be forced) - image is referenced in multiple repositories",
			       id);
	if ((r = records_image_user(m->s->records, m->image.id, false, &user, e)) < 0)
		return r;
	return r == 0 ? 0
		      : err_set(e, EBUSY,
				"unable to delete %.12s (must be forced) - image is being used by stopped container %.12s", id,
				user);
}

/* The tag that `name` means, or NULL when it means the image by its id or digest. */
static const char *named_tag(struct removal *m)
{
	_cleanup_(ref_done) struct ref ref = { 0 };
	_cleanup_free_ char *text = NULL;

	if (ref_parse(m->name, NULL, &ref, NULL) < 0 || !(text = ref_str(&ref)))
		return NULL;
	for (size_t i = 0; m->tags && m->tags[i]; i++)
		if (streq(m->tags[i], text))
			return m->tags[i];
	return NULL;
}

static int delete_image(struct removal *m, struct err *e)
{
	int r = records_image_delete(m->s->records, m->image.id, e);

	if (r == 0)
		report(m, "Deleted", m->image.id);
	return r;
}

static int remove_by_tag(struct removal *m, const char *tag, struct err *e)
{
	_cleanup_free_ char *user = NULL;
	bool is_last = strv_len(m->tags) == 1;
	int r;

	if (is_last && (r = records_image_snapshot(m->s->records, m->image.id, &user, e)) != 0)
		return r < 0 ? r
			     : err_set(e, EBUSY,
				       "unable to remove repository reference \"%s\" - snapshot %.12s was taken of a VM of its "
				       "image: "
				       "remove that first",
				       m->name, user);
	if (is_last && !m->force) {
		if ((r = records_image_user(m->s->records, m->image.id, false, &user, e)) < 0)
			return r;
		if (r == 1)
			return err_set(e, EBUSY,
				       "unable to remove repository reference \"%s\" (must force) - container %.12s is using its "
				       "referenced image %.12s",
				       m->name, user, digest_hex(m->image.id));
	}
	if ((r = untag(m, tag, e)) < 0 || !is_last)
		return r;
	/* Forced while in use: the tag is gone; a running container keeps the record, as docker keeps a dangling image. */
	struct err ignored = { 0 };
	return conflict(m, &ignored) < 0 ? 0 : delete_image(m, e);
}

static int remove_by_id(struct removal *m, struct err *e)
{
	int r = conflict(m, e);

	for (size_t i = 0; r == 0 && m->tags && m->tags[i]; i++)
		r = untag(m, m->tags[i], e);
	return r < 0 ? r : delete_image(m, e);
}

int image_remove(struct store *s, const char *name, bool force, void (*cb)(const char *line, void *arg), void *arg, struct err *e)
{
	_cleanup_(removal_done) struct removal m = { .s = s, .name = name, .force = force, .cb = cb, .arg = arg };
	int r = image_find(s, name, &m.image, e);

	if (r < 0 || (r = records_tags(s->records, m.image.id, &m.tags, NULL, e)) < 0)
		return r;
	const char *tag = named_tag(&m);
	if ((r = tag ? remove_by_tag(&m, tag, e) : remove_by_id(&m, e)) < 0)
		return r;
	/* On a full disk the new index has no room before its images' files are gone. */
	int written = index_json_write(s, e);
	if (written < 0 && written != -ENOSPC && written != -EDQUOT)
		return written;
	struct err why = { 0 };
	r = store_gc(s, &why);
	if (written < 0 && (r >= 0 || r == -EBUSY) && (written = index_json_write(s, e)) == 0)
		*e = (struct err){ 0 };
	if (r < 0 && r != -EBUSY)
		return err_set(e, -r, "%s", why.msg);
	return written;
}
