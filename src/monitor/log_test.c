/* The log's writer and its reader against each other. */
#include <stdio.h>
#include <sys/stat.h>

#include "log_file.h"
#include "log_line.h"
#include "monitor.h"
#include "tap.h"

#define str_fmt(...) ((char *)tap_keep(str_fmt(__VA_ARGS__)))

static char dir[64], *path;
static const struct paths paths = { .root = dir, .run = dir };

static void clean(void) { rm_rf(AT_FDCWD, dir); }

static struct log_file *new_log(uint64_t max, uint32_t files)
{
	struct log_file *l = NULL;
	struct err e = { 0 };

	if (!path) {
		strcpy(dir, "/tmp/berth-log-XXXXXX");
		ok(mkdtemp(dir));
		atexit(clean);
		path = str_fmt("%s/container.log", dir);
	}
	if (log_file_open(path, max, files, &l, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return l;
}

static void add(struct log_file *l, int stream, const char *s) { log_file_add(l, stream, s, strlen(s)); }

/* What logs_print writes, stdout and stderr one after the other. */
static char *printed(const struct log_query *q)
{
	struct err e = { 0 };
	int out = open(dir, O_TMPFILE | O_RDWR, 0600), err = open(dir, O_TMPFILE | O_RDWR, 0600);
	char *a, *b, *both;

	if (logs_print(&paths, "id", path, q, out, err, &e) < 0)
		TAP_FAIL("%s", e.msg);
	lseek(out, 0, SEEK_SET);
	lseek(err, 0, SEEK_SET);
	is_int(fd_read_all(out, 64 << 20, &a, NULL), 0);
	is_int(fd_read_all(err, 64 << 20, &b, NULL), 0);
	close(out);
	close(err);
	both = str_fmt("%s%s%s", a, *b ? "|" : "", b);
	free(a);
	free(b);
	return both;
}

static const struct log_query all = { .want_stdout = true, .want_stderr = true, .tail = -1 };

static char *tail(int64_t n)
{
	struct log_query q = all;

	q.tail = n;
	return printed(&q);
}

TEST(records_are_dockers_json_lines)
{
	struct log_file *l = new_log(0, 1);
	static char *text;

	add(l, 1, "a \"quoted\" \\ tab\there\x01\n");
	add(l, 2, "oops\n");
	log_file_close(l);
	is_int(file_read(AT_FDCWD, path, 10000, &text, NULL), 0);
	const char *second = strchr(text, '\n') + 1;
	ok(str_after(text, "{\"log\":\"a \\\"quoted\\\" \\\\ tab\\there\\u0001\\n\",\"stream\":\"stdout\",\"time\":\"20"));
	ok(str_after(second, "{\"log\":\"oops\\n\",\"stream\":\"stderr\",\"time\":\"20"));
	ok(str_ends(text, "Z\"}\n"));
	is_str(printed(&all), "a \"quoted\" \\ tab\there\x01\n|oops\n");
}

TEST(a_line_is_one_record_however_it_arrives)
{
	struct log_file *l = new_log(0, 1);
	static char *text;

	add(l, 1, "one ");
	add(l, 2, "err ");
	add(l, 1, "line\nsecond\nthi");
	add(l, 1, "rd");
	add(l, 2, "line\n");
	log_file_end(l, 1);
	log_file_end(l, 2);
	log_file_close(l);
	is_int(file_read(AT_FDCWD, path, 10000, &text, NULL), 0);
	size_t lines = 0;
	for (char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	is_int(lines, 4);
	is_str(printed(&all), "one line\nsecond\nthird|err line\n");
}

TEST(bytes_that_are_no_text_become_replacement_characters)
{
	struct log_file *l = new_log(0, 1);

	log_file_add(l, 1, "x\0y\xff\xc3\xa9\xed\xa0\x80\n", 10);
	log_file_close(l);
	int out = open(dir, O_TMPFILE | O_RDWR, 0600);
	struct err e;
	is_int(logs_print(&paths, "id", path, &all, out, out, &e), 0);
	char got[64] = "";
	static const char want[] = "x\0y\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n";
	is_int(pread(out, got, sizeof(got), 0), sizeof(want) - 1);
	ok(memcmp(got, want, sizeof(want) - 1) == 0);
}

TEST(an_endless_line_is_cut_between_characters_and_capped)
{
	enum { MAX = 200000, FILES = 3 };
	struct log_file *l = new_log(MAX, FILES);
	char chunk[30000];
	struct stat st;
	uint64_t total = 0;

	/* Three-byte characters, so that chunks of 16 KiB don't end where characters do. */
	for (size_t i = 0; i < sizeof(chunk); i += 3)
		memcpy(chunk + i, "\xe2\x82\xac", 3);
	for (int i = 0; i < 100; i++)
		log_file_add(l, 1, chunk, sizeof(chunk)); /* 3 MB without a newline */
	log_file_close(l);
	for (int i = 0; i < FILES + 2; i++) {
		char *p = i ? str_fmt("%s.%d", path, i) : tap_keep(strdup(path));
		if (stat(p, &st) < 0) {
			is_int(i, FILES);
			break;
		}
		ok(st.st_size <= MAX);
		total += (uint64_t)st.st_size;
	}
	ok(total > MAX); /* and what is kept is more than one file */
	char *text = printed(&all);
	ok(strlen(text) % 3 == 0 && strlen(text) > 200000);
	ok(!strstr(text, "\xef\xbf\xbd"));
}

TEST(rotation_keeps_the_newest_lines_whole_and_in_order)
{
	struct log_file *l = new_log(2000, 4);
	char line[40];

	for (int i = 0; i < 500; i++) {
		snprintf(line, sizeof(line), "line %d\n", i);
		add(l, 1, line);
	}
	log_file_close(l);
	char *text = printed(&all);
	int next = -1, n = 0;
	for (char *p = text, *end; *p; p = end + 1) {
		int i;
		end = strchr(p, '\n');
		ok(end && sscanf(p, "line %d", &i) == 1);
		ok(next < 0 || i == next);
		next = i + 1;
		n++;
	}
	is_int(next, 500);
	ok(n > 60 && n < 120); /* 4 files of 2000 bytes, about 75 a record */
	is_str(tail(2), "line 498\nline 499\n");
	char *fifty = tail(50); /* reaches over several files */
	ok(str_after(fifty, "line 450\n"));
	ok(str_ends(fifty, "\nline 499\n"));
	is_str(tail(100000), text);
	is_str(tail(0), "");
}

TEST(one_file_only_starts_anew_when_full)
{
	struct log_file *l = new_log(1000, 1);
	struct stat st;

	for (int i = 0; i < 100; i++)
		add(l, 1, "some line\n");
	log_file_close(l);
	is_int(stat(path, &st), 0);
	ok(st.st_size <= 1000);
	char *one = str_fmt("%s.1", path);
	ok(stat(one, &st) < 0);
}

TEST(tail_counts_lines_of_the_wanted_stream_and_long_ones_once)
{
	struct log_file *l = new_log(0, 1);
	char *lng = tap_keep(malloc(40002));

	memset(lng, 'x', 40000);
	memcpy(lng + 40000, "\n", 2);
	add(l, 1, "first\n");
	add(l, 2, "e1\n");
	add(l, 1, lng); /* three records */
	add(l, 2, "e2\n");
	add(l, 1, "end");
	log_file_end(l, 1);
	log_file_close(l);
	struct log_query q = { .want_stdout = true, .tail = 1 };
	is_str(printed(&q), "end");
	q.tail = 2;
	is_int(strlen(printed(&q)), 40001 + 3);
	q.tail = 3;
	is_int(strlen(printed(&q)), 6 + 40001 + 3);
	q = (struct log_query){ .want_stderr = true, .tail = 1 };
	is_str(printed(&q), "|e2\n");
}

TEST(tail_looks_back_over_more_than_one_read)
{
	struct log_file *l = new_log(0, 1);
	char line[40];

	for (int i = 0; i < 5000; i++) {
		snprintf(line, sizeof(line), "%d\n", i);
		add(l, 1, line);
	}
	log_file_close(l);
	char *text = tail(4000);
	ok(str_after(text, "1000\n1001\n"));
	ok(str_ends(text, "\n4999\n"));
}

TEST(since_until_and_timestamps)
{
	struct log_file *l = new_log(0, 1);
	static const char text[] = "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:01.5Z\"}\n"
				   "{\"log\":\"b\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:02Z\"}\n"
				   "{\"log\":\"c\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:03Z\"}\n"
				   "{\"log\":\"d\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:04Z\"}\n";
	struct log_query q = all;

	log_file_close(l);
	int fd = open(path, O_WRONLY | O_TRUNC);
	is_int(fd_write_full(fd, text, sizeof(text) - 1), 0);
	is_int(clock_parse("2026-01-01T00:00:02Z", &q.since_ns), 0);
	is_str(printed(&q), "b\ncd\n");
	q.until_ns = q.since_ns;
	is_str(printed(&q), "b\n");
	q = all;
	q.timestamps = true;
	is_str(printed(&q), "2026-01-01T00:00:01.500000000Z a\n2026-01-01T00:00:02.000000000Z b\n"
			    "2026-01-01T00:00:03.000000000Z cd\n");
}

TEST(torn_lines_are_skipped_and_mended)
{
	struct log_file *l = new_log(0, 1);

	add(l, 1, "before\n");
	log_file_close(l);
	int fd = open(path, O_WRONLY | O_APPEND);
	is_int(fd_write_full(fd, "{\"log\":\"torn", 12), 0);
	close(fd);
	is_str(printed(&all), "before\n");
	is_str(tail(1), "before\n");
	l = new_log(0, 1); /* the next run of the container */
	add(l, 1, "after\n");
	log_file_close(l);
	is_str(printed(&all), "before\nafter\n");
	is_str(tail(1), "after\n");
}

TEST(a_missing_log_is_named_as_such)
{
	struct err e = { 0 };

	log_file_close(new_log(0, 1));
	unlink(path);
	is_int(logs_print(&paths, "0123456789abcdef", path, &all, 1, 2, &e), -ENOENT);
	has_str(e.msg, "0123456789ab has no log");
}

TEST(records_of_strangers_are_refused)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{\"log\":\"x\",\"stream\":\"stdout\"}",
		"{\"log\":1,\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}",
		"{\"log\":\"x\",\"stream\":\"stdout\",\"time\":\"yesterday\"}",
		"x{\"log\":\"x\"}",
	};
	struct log_line l;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ok(log_line_parse(bad[i], strlen(bad[i]), &l) < 0);
}

TAP_MAIN()
