/* The open store: its directories, its lock, its records.
 *
 * Opening is on the path of `berth run`: one look at ROOT/oci/oci-layout tells that the layout is there (it is written last), and
 * the lock file is opened only by those who lock. */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "store_private.h"

static const char *const folders[] = { "oci", "oci/blobs", "oci/blobs/sha256", "layers", "tmp", "erofs", "containers" };
static const char oci_layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}"; /* image spec 1.1, "oci-layout file" */
static const char empty_index[] =
	"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}";

static int make_layout(struct store *s, struct err *e)
{
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if ((r = mkdir_p(s->rootfd, folders[i], 0700)) < 0)
			return err_set(e, -r, "make %s/%s: %s", s->root, folders[i], strerror(-r));
	_cleanup_fd_ int oci = openat(s->rootfd, "oci", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (oci < 0)
		return err_set(e, errno, "open %s/oci: %s", s->root, strerror(errno));
	r = faccessat(oci, "index.json", F_OK, 0) == 0
		    ? 0
		    : file_replace(oci, "index.json", empty_index, strlen(empty_index), 0600, true);
	if (r == 0)
		r = file_replace(oci, "oci-layout", oci_layout, strlen(oci_layout), 0600, true);
	return r < 0 ? err_set(e, -r, "write the image layout in %s/oci: %s", s->root, strerror(-r)) : 0;
}

int store_open(const struct paths *p, struct store **ret, struct err *e)
{
	_cleanup_(store_close_ptr) struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, ENOMEM, "store: out of memory");
	s->rootfd = s->lockfd = -1;
	if (!(s->root = strdup(p->root)))
		return err_set(e, ENOMEM, "store: out of memory");
	if ((s->rootfd = open(p->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_set(e, errno, "open the store %s: %s", p->root, strerror(errno));
	if (faccessat(s->rootfd, "oci/oci-layout", F_OK, 0) < 0 && (r = make_layout(s, e)) < 0)
		return r;
	if ((r = records_open(s->root, &s->records, e)) < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	records_close(s->records);
	fd_close(s->lockfd);
	fd_close(s->rootfd);
	free(s->root);
	free(s);
}

struct records *store_records(struct store *s) { return s->records; }
int store_rootfd(const struct store *s) { return s->rootfd; }

int store_lock(struct store *s, enum store_lock how, struct err *e)
{
	static const int op[] = { [STORE_UNLOCKED] = LOCK_UN, [STORE_SHARED] = LOCK_SH, [STORE_EXCLUSIVE] = LOCK_EX | LOCK_NB };
	int r;

	if (s->lock == how)
		return 0;
	if (s->lockfd < 0 && (s->lockfd = openat(s->rootfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
		return err_set(e, errno, "open %s/lock: %s", s->root, strerror(errno));
	while ((r = flock(s->lockfd, op[how])) < 0 && errno == EINTR)
		;
	if (r == 0) {
		s->lock = how;
		return 0;
	}
	int no = errno;
	/* A failed conversion has dropped the old lock (flock(2)). */
	s->lock = STORE_UNLOCKED;
	if (no == EWOULDBLOCK)
		return err_set(e, EBUSY, "images in %s are in use by a pull, a load or a start: try again when it is done",
			       s->root);
	return err_set(e, no, "lock %s/lock: %s", s->root, strerror(no));
}
