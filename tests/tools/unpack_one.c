/* unpack_one BLOB none|gzip|zstd DIFF_ID DIR: unpacks one layer into DIR/diff the way berth-transfer does, with its default limits or
 * those of the environment (UNPACK_MAX_RATIO, UNPACK_FLOOR, UNPACK_MAX_ENTRIES, UNPACK_MAX_BYTES, UNPACK_MAX_DEPTH). BLOB "-" reads
 * a pipe on stdin. Prints "bytes files" or the error; exit status 1 then. For tests of hostile layers and for timing. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "transfer.h"

static void from_env(const char *name, uint64_t *v)
{
	const char *s = getenv(name);

	if (s && str_to_u64(s, v) < 0)
		fprintf(stderr, "%s is not a number\n", name);
}

int main(int argc, char **argv)
{
	struct unpack_limits lim = unpack_limits_default;
	enum media_compression comp = COMP_NONE;
	struct unpack_result res = { 0 };
	uint64_t depth = lim.max_depth;
	struct err e = { 0 };

	if (argc != 5)
		return 2;
	log_setup("unpack_one", getenv("UNPACK_DEBUG") ? LOG_DEBUG_ : LOG_WARN_, false);
	from_env("UNPACK_MAX_RATIO", &lim.max_ratio);
	from_env("UNPACK_FLOOR", &lim.ratio_floor_bytes);
	from_env("UNPACK_MAX_ENTRIES", &lim.max_entries);
	from_env("UNPACK_MAX_BYTES", &lim.max_bytes);
	from_env("UNPACK_MAX_DEPTH", &depth);
	lim.max_depth = (unsigned)depth;
	if (streq(argv[2], "gzip"))
		comp = COMP_GZIP;
	else if (streq(argv[2], "zstd"))
		comp = COMP_ZSTD;
	_cleanup_fd_ int blob = streq(argv[1], "-") ? dup(0) : open(argv[1], O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *diff = str_fmt("%s/diff", argv[4]);
	if (blob < 0 || !diff || (mkdir(diff, 0755) < 0 && errno != EEXIST)) {
		perror(blob < 0 ? argv[1] : argv[4]);
		return 2;
	}
	_cleanup_fd_ int dirfd = open(diff, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0 || layer_unpack(blob, comp, dirfd, argv[3], &lim, NULL, NULL, &res, &e) < 0) {
		printf("%s\n", dirfd < 0 ? strerror(errno) : e.msg);
		return 1;
	}
	printf("%llu %llu\n", (unsigned long long)res.size_bytes, (unsigned long long)res.files);
	return 0;
}
