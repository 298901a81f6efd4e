/* The store: finding, naming, removing, collecting and checking images that are made here by hand. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filelist.h"
#include "store_private.h"
#include "tap.h"

static char top[64];

static void leave(void)
{
	_cleanup_fd_ int up = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	rm_rf(up, strrchr(top, '/') + 1);
}

static struct store *opened(void)
{
	const struct paths p = { .root = top, .run = top };
	struct store *s = NULL;
	struct err e = { 0 };

	if (store_open(&p, &s, &e) < 0)
		TAP_FAIL("store_open: %s", e.msg);
	return s;
}

static struct store *fresh(void)
{
	snprintf(top, sizeof(top), "/tmp/store-test-XXXXXX");
	ok(mkdtemp(top));
	atexit(leave);
	return opened();
}

static void put_file(struct store *s, const char *path, const char *text)
{
	int fd = openat(s->rootfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ok(fd >= 0);
	is_int(fd_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static void put_blob(struct store *s, const char *text, char ret_digest[DIGEST_LEN])
{
	char path[BLOB_PATH_LEN + 8];

	sha256_digest_str(text, strlen(text), ret_digest);
	snprintf(path, sizeof(path), "oci/blobs/sha256/%s", digest_hex(ret_digest));
	put_file(s, path, text);
}

/* A layer "text": one file of that content, with its list. Returns the chain id. */
static void put_layer(struct store *s, const char *parent, const char *text, char ret_blob[DIGEST_LEN],
		      char ret_chain[DIGEST_LEN])
{
	_cleanup_buf_ struct buf list = { 0 };
	char path[128], info[400], digest[DIGEST_LEN];

	put_blob(s, text, ret_blob); /* stands for its tar; the diff id is the same digest */
	is_int(chain_id(parent, ret_blob, ret_chain), 0);
	snprintf(path, sizeof(path), "layers/%s/diff/etc", digest_hex(ret_chain));
	is_int(mkdir_p(s->rootfd, path, 0755), 0);
	snprintf(path, sizeof(path), "layers/%s/diff/etc/file", digest_hex(ret_chain));
	put_file(s, path, text);
	file_line_add(&list, &(struct file_line){ .type = 'd', .mode = 0755, .path = "etc" });
	file_line_add(&list,
		      &(struct file_line){
			      .type = 'f', .mode = 0600, .size = strlen(text), .sha = digest_hex(ret_blob), .path = "etc/file" });
	snprintf(path, sizeof(path), "layers/%s/files", digest_hex(ret_chain));
	put_file(s, path, list.data);
	sha256_digest_str(list.data, list.len, digest);
	snprintf(info, sizeof(info), "{\"chain_id\":\"%s\",\"size_bytes\":%zu,\"files\":2,\"list\":\"%s\"}", ret_chain,
		 strlen(text), digest);
	snprintf(path, sizeof(path), "layers/%s/info.json", digest_hex(ret_chain));
	put_file(s, path, info);
}

/* An image of a layer "base" and one of its own. */
static void put_image(struct store *s, const char *own, char ret_manifest[DIGEST_LEN])
{
	char base[DIGEST_LEN], top_blob[DIGEST_LEN], chain[DIGEST_LEN], chain2[DIGEST_LEN], config[DIGEST_LEN], text[2000];

	put_layer(s, NULL, "base", base, chain);
	put_layer(s, chain, own, top_blob, chain2);
	snprintf(
		text, sizeof(text),
		"{\"created\":\"2026-01-01T00:00:00Z\",\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"%s\"]},"
		"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\",\"%s\"]}}",
		own, base, top_blob);
	size_t n = strlen(text);
	put_blob(s, text, config);
	snprintf(text, sizeof(text),
		 "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":"
		 "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"mediaType\":"
		 "\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":4},{\"mediaType\":"
		 "\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":%zu}]}",
		 config, n, base, top_blob, strlen(own));
	put_blob(s, text, ret_manifest);
}

static void record(struct store *s, const char *manifest, const char *name, char **ret_old)
{
	_cleanup_(ref_done) struct ref ref = { 0 };
	struct err e = { 0 };

	if (name)
		is_int(ref_parse(name, NULL, &ref, &e), 0);
	if (image_record(s, manifest, name ? &ref : NULL, ret_old, &e) < 0)
		TAP_FAIL("image_record: %s", e.msg);
}

static struct image found(struct store *s, const char *name)
{
	struct image i = { 0 };
	struct err e = { 0 };

	if (image_find(s, name, &i, &e) < 0)
		TAP_FAIL("image_find %s: %s", name, e.msg);
	return i;
}

static int find_error(struct store *s, const char *name, struct err *e)
{
	struct image i = { 0 };
	int r = image_find(s, name, &i, e);

	image_done(&i);
	return r;
}

static int count(const char *folder)
{
	char cmd[200], text[32] = "";

	snprintf(cmd, sizeof(cmd), "ls -A %s/%s | wc -l", top, folder);
	FILE *f = popen(cmd, "re");
	ok(f && fgets(text, sizeof(text), f));
	pclose(f);
	return (int)strtol(text, NULL, 10);
}

static void gather(const char *line, void *arg) { buf_fmt(arg, "%s\n", line); }

static void gather_finding(const struct check_finding *f, void *arg)
{
	buf_fmt(arg, "%s %s: %s%s (%s)%s\n", f->kind, f->name, f->problem, f->is_set_aside ? " [set aside]" : "",
		f->images ? f->images[0] : "-", f->is_repaired ? " [repaired]" : "");
}

static int checked(struct store *s, bool repair, struct buf *lines, struct err *e)
{
	buf_done(lines);
	*lines = (struct buf){ 0 };
	return store_check(s, &(struct check_opts){ .repair = repair, .found = gather_finding, .arg = lines }, e);
}

static int removed(struct store *s, const char *name, bool force, struct buf *lines, struct err *e)
{
	buf_done(lines);
	*lines = (struct buf){ 0 };
	return image_remove(s, name, force, gather, lines, e);
}

static void put_container(struct store *s, const char *id, const struct image *i, enum container_state state)
{
	struct container_record c = { .id = strdup(id), .name = strdup(id), .image_id = strdup(i->id), .state = state };
	struct err e = { 0 };

	if (records_container_put(s->records, &c, &e) < 0)
		TAP_FAIL("%s", e.msg);
	container_record_done(&c);
}

TEST(a_recorded_image_is_found_by_every_name_that_means_it)
{
	struct store *s = fresh();
	char m[DIGEST_LEN], one[DIGEST_LEN + 40], hex[13];
	char **dirs = NULL;
	struct err e = { 0 };

	put_image(s, "one", m);
	record(s, m, "demo:1", NULL);
	struct image i = found(s, "demo:1");
	snprintf(one, sizeof(one), "demo@%s", m);
	snprintf(hex, sizeof(hex), "%.12s", digest_hex(i.id));
	const char *names[] = { "docker.io/library/demo:1", i.id, m, one, hex, digest_hex(i.id) };
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		struct image j = found(s, names[n]);
		is_str(j.id, i.id);
		is_str(j.config.config.cmd[0], "one");
		is_int(j.size_bytes, 7);
		is_int(strv_len(j.chain_ids), 2);
		image_done(&j);
	}
	is_int(image_layer_dirs(s, &i, &dirs, &e), 0);
	is_int(strv_len(dirs), 2);
	has_str(dirs[0], digest_hex(i.chain_ids[1]));
	is_int(find_error(s, "demo", &e), -ENOENT);
	is_str(e.msg, "no such image: demo");
	is_int(find_error(s, "ab", &e), -ENOENT);
	ok(find_error(s, "Upper", &e) < 0);
	has_str(e.msg, "lower");
	strv_free(dirs);
	image_done(&i);
	store_close(s);
}

TEST(a_name_of_hex_digits_is_a_tag_before_it_is_an_id)
{
	struct store *s = fresh();
	char m1[DIGEST_LEN], m2[DIGEST_LEN], hex[8];

	put_image(s, "one", m1);
	put_image(s, "two", m2);
	record(s, m1, NULL, NULL);
	struct image one = found(s, m1);
	snprintf(hex, sizeof(hex), "%.6s", digest_hex(one.id));
	record(s, m2, hex, NULL);
	struct image two = found(s, hex);
	is_str(two.config.config.cmd[0], "two");
	image_done(&one);
	image_done(&two);
	store_close(s);
}

TEST(a_tag_that_moves_tells_from_where_and_the_old_image_stays)
{
	struct store *s = fresh();
	char m1[DIGEST_LEN], m2[DIGEST_LEN], *old = NULL;

	put_image(s, "one", m1);
	put_image(s, "two", m2);
	record(s, m1, "demo:1", &old);
	ok(!old);
	struct image one = found(s, m1);
	record(s, m2, "demo:1", &old);
	is_str(old, one.id);
	struct image again = found(s, one.id);
	image_done(&again);
	image_done(&one);
	free(old);
	store_close(s);
}

TEST(an_image_whose_blobs_or_layers_are_not_whole_is_not_recorded)
{
	struct store *s = fresh();
	struct err e = { 0 };
	char m[DIGEST_LEN], path[200];

	put_image(s, "one", m);
	snprintf(path, sizeof(path), "oci/blobs/sha256/%s", digest_hex(m));
	put_file(s, path, "{}");
	is_int(image_record(s, m, NULL, NULL, &e), -EBADMSG);
	has_str(e.msg, m);
	put_image(s, "one", m);
	record(s, m, NULL, NULL);
	struct image i = found(s, m);
	snprintf(path, sizeof(path), "layers/%s/info.json", digest_hex(i.chain_ids[1]));
	is_int(unlinkat(s->rootfd, path, 0), 0);
	is_int(image_record(s, m, NULL, NULL, &e), -ENOENT);
	has_str(e.msg, i.chain_ids[1]);
	image_done(&i);
	store_close(s);
}

TEST(index_json_names_every_tag_and_every_untagged_image)
{
	struct store *s = fresh();
	_cleanup_(ref_done) struct ref ref = { 0 };
	_cleanup_free_ char *text = NULL;
	struct err e = { 0 };
	char m1[DIGEST_LEN], m2[DIGEST_LEN];
	struct image_index x = { 0 };
	size_t len;

	put_image(s, "one", m1);
	put_image(s, "two", m2);
	record(s, m1, "demo:1", NULL);
	record(s, m2, NULL, NULL);
	is_int(ref_parse("demo:2", NULL, &ref, &e), 0);
	is_int(image_tag(s, "demo:1", &ref, &e), 0);
	is_int(file_read(s->rootfd, "oci/index.json", 1 << 20, &text, &len), 0);
	is_int(image_index_parse(text, len, NULL, &x, &e), 0);
	is_int(x.n_manifests, 3);
	has_str(text, "docker.io/library/demo:1");
	has_str(text, "docker.io/library/demo:2");
	has_str(text, m2);
	image_index_done(&x);
	store_close(s);
}

TEST(removing_follows_dockers_rules_and_frees_what_nobody_else_uses)
{
	struct store *s = fresh();
	_cleanup_buf_ struct buf lines = { 0 };
	_cleanup_(ref_done) struct ref ref = { 0 };
	struct err e = { 0 };
	char m1[DIGEST_LEN], m2[DIGEST_LEN], want[200];

	put_image(s, "one", m1);
	put_image(s, "two", m2);
	record(s, m1, "demo:1", NULL);
	record(s, m2, "other:1", NULL);
	is_int(ref_parse("away/demo:2", NULL, &ref, &e), 0);
	is_int(image_tag(s, "demo:1", &ref, &e), 0);
	is_int(count("layers"), 3);
	is_int(count("oci/blobs/sha256"), 7);
	struct image i = found(s, "demo:1");
	is_int(removed(s, i.id, false, &lines, &e), -EBUSY);
	has_str(e.msg, "referenced in multiple repositories");
	is_int(removed(s, "demo:1", false, &lines, &e), 0);
	is_str(lines.data, "Untagged: demo:1\n");
	put_container(s, "c1", &i, CS_EXITED);
	is_int(removed(s, "away/demo:2", false, &lines, &e), -EBUSY);
	has_str(e.msg, "must force) - container c1");
	is_int(records_container_delete(s->records, "c1", &e), 0);
	is_int(removed(s, "away/demo:2", false, &lines, &e), 0);
	snprintf(want, sizeof(want), "Untagged: away/demo:2\nDeleted: %s\n", i.id);
	is_str(lines.data, want);
	is_int(find_error(s, i.id, &e), -ENOENT);
	/* The base layer and its blob are the other image's as well. */
	is_int(count("layers"), 2);
	is_int(count("oci/blobs/sha256"), 4);
	is_int(checked(s, false, &lines, &e), 0);
	image_done(&i);
	store_close(s);
}

TEST(an_image_of_a_running_container_keeps_its_record_even_by_force)
{
	struct store *s = fresh();
	_cleanup_buf_ struct buf lines = { 0 };
	struct err e = { 0 };
	char m[DIGEST_LEN];

	put_image(s, "one", m);
	record(s, m, "demo:1", NULL);
	struct image i = found(s, "demo:1");
	put_container(s, "c1", &i, CS_RUNNING);
	is_int(removed(s, i.id, true, &lines, &e), -EBUSY);
	has_str(e.msg, "cannot be forced) - image is being used by running container c1");
	is_int(removed(s, "demo:1", true, &lines, &e), 0);
	is_str(lines.data, "Untagged: demo:1\n");
	is_int(find_error(s, i.id, &e), 0);
	is_int(count("layers"), 2);
	image_done(&i);
	store_close(s);
}

TEST(collecting_keeps_what_a_container_stands_on_after_its_image_is_gone)
{
	struct store *s = fresh();
	_cleanup_buf_ struct buf lines = { 0 };
	_cleanup_strv_ char **dirs = NULL;
	struct launch l = { .version = LAUNCH_VERSION };
	struct err e = { 0 };
	char m[DIGEST_LEN], id[] = "c1", name[] = "n", isolation[] = "container";

	put_image(s, "one", m);
	record(s, m, "demo:1", NULL);
	struct image i = found(s, "demo:1");
	put_container(s, "c1", &i, CS_EXITED);
	is_int(image_layer_dirs(s, &i, &dirs, &e), 0);
	l.id = id;
	l.name = name;
	l.isolation = isolation;
	l.layers = dirs;
	struct json_object *o = launch_json(&l);
	is_int(mkdir_p(s->rootfd, "containers/c1", 0700), 0);
	put_file(s, "containers/c1/launch.json", json_object_to_json_string(o));
	json_object_put(o);
	is_int(removed(s, i.id, true, &lines, &e), 0);
	is_int(count("layers"), 2);
	is_int(count("oci/blobs/sha256"), 0);
	ok(access(dirs[0], F_OK) == 0);
	put_file(s, "containers/c1/launch.json", ""); /* damaged: who knows what it stands on */
	is_int(store_gc(s, &e), -EINVAL);
	ok(strstr(e.msg, "launch.json"));
	is_int(count("layers"), 2);
	is_int(unlinkat(s->rootfd, "containers/c1/launch.json", 0), 0);
	/* One that was killed before its record. */
	is_int(mkdir_p(s->rootfd, "containers/c2", 0700), 0);
	put_file(s, "containers/c2/launch.json", "{\"version\"");
	is_int(store_gc(s, &e), 0);
	is_int(count("layers"), 0);
	image_done(&i);
	store_close(s);
}

TEST(collecting_waits_for_nobody_and_deletes_nothing_while_a_pull_holds_the_lock)
{
	struct store *s = fresh(), *pull = opened();
	struct err e = { 0 };
	char blob[DIGEST_LEN];

	put_blob(s, "garbage", blob);
	is_int(store_lock(pull, STORE_SHARED, &e), 0);
	is_int(store_gc(s, &e), -EBUSY);
	is_int(count("oci/blobs/sha256"), 1);
	store_close(pull);
	is_int(store_gc(s, &e), 0);
	is_int(count("oci/blobs/sha256"), 0);
	store_close(s);
}

TEST(a_fresh_download_survives_collecting_and_other_leftovers_do_not)
{
	struct store *s = fresh();
	struct err e = { 0 };

	put_file(s, "tmp/sha256-aaaa.part", "half");
	put_file(s, "tmp/unpack-123", "x");
	is_int(mkdir_p(s->rootfd, "tmp/unpack-dead/diff/a", 0755), 0);
	put_file(s, "oci/blobs/sha256/.half", "x");
	is_int(store_gc(s, &e), 0);
	is_int(count("tmp"), 1);
	is_int(count("oci/blobs/sha256"), 0);
	store_close(s);
}

TEST(an_image_with_a_damaged_manifest_is_named_and_does_not_stop_the_others)
{
	struct store *s = fresh();
	_cleanup_buf_ struct buf lines = { 0 };
	struct err e = { 0 };
	char m1[DIGEST_LEN], m2[DIGEST_LEN], path[200];

	put_image(s, "one", m1);
	put_image(s, "two", m2);
	record(s, m1, "demo:1", NULL);
	record(s, m2, "other:1", NULL);
	snprintf(path, sizeof(path), "oci/blobs/sha256/%s", digest_hex(m1));
	put_file(s, path, "{");
	ok(checked(s, false, &lines, &e) > 0);
	has_str(lines.data, m1);
	struct image two = found(s, "other:1");
	image_done(&two);
	is_int(store_gc(s, &e), 0);
	is_int(count("oci/blobs/sha256"), 7);
	is_int(removed(s, "demo:1", false, &lines, &e), 0);
	is_int(count("oci/blobs/sha256"), 4);
	is_int(checked(s, false, &lines, &e), 0);
	store_close(s);
}

/* I11: every byte of every stored object, one flipped bit at a time. */
static void flip_each_byte(struct store *s, const char *path)
{
	_cleanup_buf_ struct buf lines = { 0 };
	_cleanup_fd_ int fd = openat(s->rootfd, path, O_RDWR | O_CLOEXEC);
	struct err e = { 0 };
	struct stat st;
	char c;

	ok(fd >= 0 && fstat(fd, &st) == 0);
	for (off_t at = 0; at < st.st_size; at++) {
		ok(pread(fd, &c, 1, at) == 1);
		c ^= 4;
		ok(pwrite(fd, &c, 1, at) == 1);
		if (checked(s, false, &lines, &e) <= 0)
			TAP_FAIL("%s: a flipped bit in byte %lld was not found", path, (long long)at);
		c ^= 4;
		ok(pwrite(fd, &c, 1, at) == 1);
	}
}

TEST(check_finds_one_flipped_bit_in_any_byte_of_blobs_lists_and_layers)
{
	struct store *s = fresh();
	_cleanup_buf_ struct buf lines = { 0 };
	struct err e = { 0 };
	char m[DIGEST_LEN], path[200];

	put_image(s, "one", m);
	record(s, m, "demo:1", NULL);
	struct image i = found(s, "demo:1");
	is_int(checked(s, false, &lines, &e), 0);
	const char *files[] = { "files", "diff/etc/file" };
	for (size_t n = 0; n < ARRAY_SIZE(files); n++) {
		snprintf(path, sizeof(path), "layers/%s/%s", digest_hex(i.chain_ids[1]), files[n]);
		flip_each_byte(s, path);
	}
	const char *blobs[] = { m, i.id };
	for (size_t n = 0; n < ARRAY_SIZE(blobs); n++) {
		snprintf(path, sizeof(path), "oci/blobs/sha256/%s", digest_hex(blobs[n]));
		flip_each_byte(s, path);
	}
	is_int(checked(s, false, &lines, &e), 0);
	image_done(&i);
	store_close(s);
}

TEST(check_finds_what_is_missing_added_or_has_another_mode_owner_or_type)
{
	struct store *s = fresh();
	_cleanup_buf_ struct buf lines = { 0 };
	struct err e = { 0 };
	char m[DIGEST_LEN], file[200], extra[220];

	put_image(s, "one", m);
	record(s, m, "demo:1", NULL);
	struct image i = found(s, "demo:1");
	snprintf(file, sizeof(file), "layers/%s/diff/etc/file", digest_hex(i.chain_ids[1]));
	snprintf(extra, sizeof(extra), "layers/%s/diff/etc/extra", digest_hex(i.chain_ids[1]));
	is_int(fchmodat(s->rootfd, file, 0644, 0), 0);
	is_int(checked(s, false, &lines, &e), 1);
	has_str(lines.data, "etc/file: its mode has changed");
	is_int(fchmodat(s->rootfd, file, 0600, 0), 0);
	put_file(s, extra, "");
	is_int(checked(s, false, &lines, &e), 1);
	has_str(lines.data, "etc/extra: was not in the layer");
	is_int(unlinkat(s->rootfd, extra, 0), 0);
	is_int(unlinkat(s->rootfd, file, 0), 0);
	is_int(checked(s, false, &lines, &e), 1);
	has_str(lines.data, "etc/file: is missing");
	is_int(mkdirat(s->rootfd, file, 0600), 0);
	is_int(checked(s, false, &lines, &e), 1);
	has_str(lines.data, "etc/file: is of another type");
	image_done(&i);
	store_close(s);
}

TEST(file_lines_round_trip_and_damaged_ones_are_refused)
{
	static const char *const bad[] = { "",
					   "f",
					   "f 644",
					   "z 644 0 0 0 - a",
					   "f 888 0 0 0 - a",
					   "f 644 0 0 0 - ",
					   "f 644 0 0 x - a",
					   "f 644 0 4294967296 0 - a",
					   "f 644 0 0 0 abc a",
					   "f 644 0 0 0 - a\\12",
					   "f 644 0 0 0 - a\\000",
					   "c 644 0 0 1 - a",
					   "f 10000 0 0 0 - a" };
	_cleanup_buf_ struct buf b = { 0 };
	struct file_line l = { .type = 'l',
			       .mode = 07777,
			       .uid = UINT32_MAX,
			       .gid = 1,
			       .size = UINT64_MAX,
			       .path = "a b\\c\nd",
			       .target = "\t" },
			 m;

	file_line_add(&b, &l);
	ok(b.data[b.len - 1] == '\n' && !memchr(b.data, '\n', b.len - 1));
	b.data[b.len - 1] = '\0';
	is_int(file_line_parse(b.data, &m), 0);
	is_str(m.path, l.path);
	is_str(m.target, l.target);
	ok(m.size == l.size && m.uid == l.uid && m.mode == l.mode && m.type == 'l');
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_free_ char *text = str_fmt("%s%c%c", bad[i], 0, 0); /* room: the parser looks at text[2] */
		char room[200] = { 0 };
		snprintf(room, sizeof(room), "%s", text ? text : "");
		if (file_line_parse(room, &m) != -EBADMSG)
			TAP_FAIL("accepted: %s", bad[i]);
	}
}

TEST(a_disk_for_guests_is_made_once_and_holds_the_merged_layers)
{
	struct store *s = fresh();
	struct err e = { 0 };
	_cleanup_free_ char *path = NULL, *again = NULL, *mkfs = spawn_find("mkfs.erofs");
	struct stat before, after;
	char m[DIGEST_LEN];

	if (!mkfs || geteuid() != 0)
		skip("needs mkfs.erofs and root");
	put_image(s, "one", m);
	record(s, m, "demo:1", NULL);
	struct image i = found(s, "demo:1");
	if (image_disk(s, &i, &path, &e) < 0)
		TAP_FAIL("image_disk: %s", e.msg);
	ok(stat(path, &before) == 0 && before.st_size >= 4096);
	_cleanup_free_ char *magic = NULL;
	size_t n;
	is_int(file_read(AT_FDCWD, path, 1 << 20, &magic, &n), 0);
	ok(memcmp(magic + 1024, "\xe2\xe1\xf5\xe0", 4) == 0); /* EROFS superblock magic, little-endian 0xE0F5E1E2 at 1024 */
	ok(memmem(magic, n, "one", 3));
	is_int(image_disk(s, &i, &again, &e), 0);
	is_str(again, path);
	ok(stat(path, &after) == 0);
	ok(before.st_ino == after.st_ino);
	is_int(count("tmp"), 0);
	is_int(store_gc(s, &e), 0);
	is_int(count("erofs"), 1);
	image_done(&i);
	store_close(s);
}

TAP_MAIN()
