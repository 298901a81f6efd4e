/* vm_huge: guest memory of the host's reserved huge pages (hugetlbfs; Documentation/admin-guide/mm/hugetlbpage.rst). They are not counted
 * in the machine's memory cgroup, and are no one else's while it runs. */
#include "vm_impl.h"

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB"
enum { PAGE = 2 << 20 };

static int read_count(const char *pool, const char *name, uint64_t *ret, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", pool, name), *text = NULL;
	int r = path ? file_read(AT_FDCWD, path, 64, &text, NULL) : -ENOMEM;

	if (r == -ENOENT)
		return err_set(e, EOPNOTSUPP, "--huge-pages: this host's kernel has no huge pages of 2 MiB to reserve (%s)",
			       path);
	if (r >= 0) {
		text[strcspn(text, "\n")] = '\0';
		r = str_to_u64(text, ret);
	}
	return r < 0 ? err_set(e, -r, "--huge-pages: %s/%s: %s", pool, name, strerror(-r)) : 0;
}

int vm_huge_check(uint64_t bytes, const char *pool, struct err *e)
{
	uint64_t want = (bytes + PAGE - 1) / PAGE, n, promised;
	int r = read_count(pool ? pool : POOL, "free_hugepages", &n, e);

	/* Free are also those that somebody has mapped and not touched yet. */
	if (r >= 0)
		r = read_count(pool ? pool : POOL, "resv_hugepages", &promised, e);
	if (r < 0)
		return r;
	n -= MIN(n, promised);
	if (n >= want)
		return 0;
	return err_set(e, ENOMEM,
		       "--huge-pages: %llu huge pages of 2 MiB are needed, and %llu are free; reserve more with sysctl "
		       "vm.nr_hugepages=N",
		       (unsigned long long)want, (unsigned long long)n);
}
