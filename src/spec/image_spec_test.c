#include "image_spec.h"

#include "tap.h"

#define HEX             "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DG              "sha256:" HEX
#define OCI_MANIFEST    "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX       "application/vnd.oci.image.index.v1+json"
#define DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define CONFIG_DESC     "{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"" DG "\",\"size\":7}"
#define LAYER_DESC      "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"" DG "\",\"size\":18446744073709}"
#define MANIFEST(extra) "{\"schemaVersion\":2," extra "\"config\":" CONFIG_DESC ",\"layers\":[" LAYER_DESC "," LAYER_DESC "]}"
#define INDEX(extra)                                                                                                        \
	"{\"schemaVersion\":2," extra "\"manifests\":[{\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"" DG                 \
	"\",\"size\":5,\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\"},\"annotations\":{\"a\":" \
	"\"b\"}}]}"

static struct err E;

static int manifest(const char *text, const char *type, struct manifest *m)
{
	E = (struct err){};
	return manifest_parse(text, strlen(text), type, m, &E);
}

static int image_index(const char *text, const char *type, struct image_index *x)
{
	E = (struct err){};
	return image_index_parse(text, strlen(text), type, x, &E);
}

TEST(a_manifest_survives_a_round_trip)
{
	struct manifest m, again;

	is_int(manifest(MANIFEST("\"annotations\":{\"k\":\"v\"},"), OCI_MANIFEST "; charset=utf-8", &m), 0);
	is_str(m.media_type, OCI_MANIFEST);
	is_int(m.n_layers, 2);
	ok(m.layers[1].size == 18446744073709);
	_cleanup_free_ char *text = manifest_print(&m);
	is_int(manifest(text, OCI_MANIFEST, &again), 0);
	is_str(again.layers[1].digest, DG);
	is_str(again.config.media_type, "application/vnd.oci.image.config.v1+json");
	is_str(map_get(&again.annotations, "k"), "v");
	_cleanup_free_ char *twice = manifest_print(&again);
	is_str(twice, text);
	manifest_done(&m);
	manifest_done(&again);
}

TEST(an_index_survives_a_round_trip)
{
	struct image_index x, again;

	is_int(image_index(INDEX(""), NULL, &x), 0);
	is_str(x.media_type, OCI_INDEX);
	is_str(x.manifests[0].variant, "v7");
	_cleanup_free_ char *text = image_index_print(&x);
	is_int(image_index(text, OCI_INDEX, &again), 0);
	is_str(again.manifests[0].architecture, "arm");
	is_str(map_get(&again.manifests[0].annotations, "a"), "b");
	image_index_done(&x);
	image_index_done(&again);
}

TEST(a_manifest_without_a_type_takes_the_one_it_is_served_as)
{
	struct manifest m;

	is_int(manifest(MANIFEST(""), DOCKER_MANIFEST, &m), 0);
	is_str(m.media_type, DOCKER_MANIFEST);
	manifest_done(&m);
	/* What is no image type says nothing. */
	is_int(manifest(MANIFEST(""), "application/json", &m), 0);
	is_str(m.media_type, OCI_MANIFEST);
	manifest_done(&m);
}

TEST(I09_ambiguous_documents_are_refused)
{
	static const struct {
		const char *text, *type, *why;
	} rows[] = {
		{ MANIFEST("\"manifests\":[],"), NULL, "ambiguous: it holds .manifests" },
		{ MANIFEST("\"manifests\":null,"), NULL, "ambiguous" },
		{ MANIFEST("\"mediaType\":\"" OCI_INDEX "\","), NULL, "is not the type of a manifest" },
		{ MANIFEST("\"mediaType\":\"" OCI_MANIFEST "\","), DOCKER_MANIFEST, "contradicts" },
		{ MANIFEST("\"mediaType\":\"text/plain\","), NULL, "is not the type of a manifest" },
		{ MANIFEST(""), OCI_INDEX, "served as" },
		{ MANIFEST("\"mediaType\":7,"), NULL, ".mediaType: expected a string, found 7" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct manifest m;
		ok(manifest(rows[i].text, rows[i].type, &m) < 0);
		has_str(E.msg, rows[i].why);
	}
	struct image_index x;
	ok(image_index(INDEX("\"layers\":[],"), NULL, &x) < 0);
	has_str(E.msg, "ambiguous: it holds .layers");
	ok(image_index(INDEX("\"config\":{},"), NULL, &x) < 0);
	has_str(E.msg, "ambiguous: it holds .config");
	ok(image_index(INDEX(""), OCI_MANIFEST, &x) < 0);
	has_str(E.msg, "served as");
	ok(image_index(INDEX("\"mediaType\":\"" OCI_MANIFEST "\","), NULL, &x) < 0);
	has_str(E.msg, "is not the type of an index");
}

#define DESC_WITH(d) "{\"mediaType\":\"x\",\"digest\":\"" d "\",\"size\":1}"

TEST(I10_digests_are_judged_before_anyone_can_use_them)
{
	static const char *const bad[] = {
		"{\"schemaVersion\":2,\"config\":" DESC_WITH("sha256:../../x") ",\"layers\":[]}",
		"{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[" DESC_WITH("sha512:" HEX HEX) "]}",
		"{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[" DESC_WITH("sha256:" HEX "0") "]}",
		"{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[" DESC_WITH("SHA256:" HEX) "]}",
		"{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[" DESC_WITH("") "]}",
	};
	struct manifest m;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ok(manifest(bad[i], NULL, &m) < 0);
		has_str(E.msg, ".digest");
	}
	ok(manifest(MANIFEST("\"layers\":[],"), NULL, &m) < 0);
	has_str(E.msg, "\"layers\" stands twice");
}

TEST(what_a_manifest_lacks_is_named)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "[]", "expected an object" },
		{ "{}", ".schemaVersion: missing" },
		{ "{\"schemaVersion\":1,\"fsLayers\":[]}", "schema 1 is not supported" },
		{ "{\"schemaVersion\":\"2\"}", ".schemaVersion: expected 2" },
		{ "{\"schemaVersion\":2}", ".config: missing" },
		{ "{\"schemaVersion\":2,\"config\":" CONFIG_DESC "}", ".layers: missing" },
		{ "{\"schemaVersion\":2,\"config\":{},\"layers\":[]}", ".config.mediaType: missing" },
		{ "{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"" DG "\"}]}",
		  ".layers[0].size: missing" },
		{ "{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[" LAYER_DESC
		  ",{\"mediaType\":\"x\",\"digest\":\"" DG "\",\"size\":-1}]}",
		  ".layers[1].size: expected a whole number" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct manifest m;
		ok(manifest(rows[i].text, NULL, &m) < 0);
		has_str(E.msg, rows[i].why);
		has_str(E.msg, "manifest");
	}
}

TEST(more_than_512_layers_are_refused)
{
	_cleanup_buf_ struct buf b = {};
	struct manifest m;

	buf_str(&b, "{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[" LAYER_DESC);
	for (int i = 1; i < 513; i++)
		buf_str(&b, "," LAYER_DESC);
	buf_str(&b, "]}");
	is_int(manifest(b.data, NULL, &m), -E2BIG);
	has_str(E.msg, "513 entries, at most 512");
}

#define IMAGE_CONFIG                                                                                                            \
	"{\"created\":\"2026-01-02T03:04:05Z\",\"author\":\"someone\",\"architecture\":\"amd64\",\"os\":\"linux\",\"variant\":" \
	"\"v2\","                                                                                                               \
	"\"config\":{\"User\":\"web:www\",\"ExposedPorts\":{\"80/tcp\":{},\"53/udp\":{}},\"Env\":[\"A=1\",\"B=\"],"             \
	"\"Entrypoint\":[\"/bin/x\"],\"Cmd\":[\"y\",\"z\"],\"Volumes\":{\"/data\":{}},\"WorkingDir\":\"/srv\","                 \
	"\"Labels\":{\"a\":\"b\"},\"StopSignal\":\"SIGINT\",\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":"         \
	"30000000000,"                                                                                                          \
	"\"Timeout\":1,\"StartPeriod\":2,\"Retries\":3}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" DG "\"]},"           \
	"\"history\":[{\"created\":\"2026-01-02T03:04:05Z\",\"created_by\":\"sh\",\"comment\":\"c\"},{\"empty_layer\":true}]}"

static int config(const char *text, struct image_config *c)
{
	E = (struct err){};
	return image_config_parse(text, strlen(text), c, &E);
}

TEST(an_image_config_survives_a_round_trip)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct image_config c;

	is_int(config(IMAGE_CONFIG, &c), 0);
	is_str(c.config.exposed_ports[1], "53/udp");
	is_str(c.config.volumes[0], "/data");
	ok(c.config.healthcheck->interval_ns == 30000000000);
	is_int(c.n_history, 2);
	ok(c.history[1].empty_layer);
	o = image_config_json(&c);
	is_str(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), IMAGE_CONFIG);
	image_config_done(&c);
}

TEST(an_image_config_may_be_as_bare_as_docker_writes_it)
{
	struct image_config c;

	is_int(config("{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":null,\"Labels\":null,\"Volumes\":null,"
		      "\"OnBuild\":null,\"User\":\"\"},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}",
		      &c),
	       0);
	ok(!c.config.cmd && !c.config.volumes && c.diff_ids && !c.diff_ids[0]);
	image_config_done(&c);
	is_int(config("{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":null,\"rootfs\":{\"type\":\"layers\",\"diff_ids\":"
		      "[]}}",
		      &c),
	       0);
	image_config_done(&c);
}

TEST(I15_reserved_labels_of_an_image_are_dropped)
{
	struct image_config c;

	is_int(config("{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Labels\":{\"dev.berth.isolation\":\"x\",\"a\":"
		      "\"1\","
		      "\"dev.berth.\":\"y\",\"dev.berthing\":\"2\"}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}",
		      &c),
	       0);
	is_int(strv_len(c.config.labels.keys), 2);
	is_int(strv_len(c.config.labels.values), 2);
	is_str(map_get(&c.config.labels, "a"), "1");
	is_str(map_get(&c.config.labels, "dev.berthing"), "2");
	image_config_done(&c);
}

#define BARE(config, diff) \
	"{\"architecture\":\"a\",\"os\":\"l\",\"config\":{" config "},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" diff "]}}"

TEST(errors_in_an_image_config_name_their_path)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "{\"os\":\"linux\"}", ".architecture: missing" },
		{ "{\"architecture\":\"a\",\"os\":\"l\"}", ".rootfs: missing" },
		{ BARE("\"User\":1000", ""), ".config.User: expected a string, found 1000" },
		{ BARE("\"Env\":\"A=1\"", ""), ".config.Env: expected an array of strings" },
		{ BARE("\"Cmd\":[\"a\",{}]", ""), ".config.Cmd[1]: expected a string" },
		{ BARE("\"Volumes\":[]", ""), ".config.Volumes: expected an object" },
		{ BARE("\"Labels\":{\"a\":1}", ""), ".config.Labels[\"a\"]: expected a string" },
		{ BARE("\"Healthcheck\":{\"Interval\":-1}", ""), ".config.Healthcheck.Interval: expected a whole number" },
		{ BARE("", "\"sha256:abc\""), ".rootfs.diff_ids[0]" },
		{ BARE("", "\"" DG "\",\"sha256:../x\""), ".rootfs.diff_ids[1]" },
		{ "{\"architecture\":\"a\",\"os\":\"l\",\"rootfs\":{\"type\":\"disks\",\"diff_ids\":[]}}",
		  ".rootfs.type: expected \"layers\"" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct image_config c;
		if (config(rows[i].text, &c) == 0)
			TAP_FAIL("accepted: %s", rows[i].text);
		has_str(E.msg, rows[i].why);
		has_str(E.msg, "image config: ");
	}
}

TEST(media_types_of_both_families_are_known)
{
	static const struct {
		const char *type;
		enum media_kind kind;
		enum media_compression c;
	} rows[] = {
		{ OCI_INDEX, MEDIA_INDEX, COMP_NONE },
		{ "application/vnd.docker.distribution.manifest.list.v2+json", MEDIA_INDEX, COMP_NONE },
		{ OCI_MANIFEST, MEDIA_MANIFEST, COMP_NONE },
		{ DOCKER_MANIFEST, MEDIA_MANIFEST, COMP_NONE },
		{ "application/vnd.oci.image.layer.v1.tar", MEDIA_LAYER, COMP_NONE },
		{ "application/vnd.oci.image.layer.v1.tar+zstd", MEDIA_LAYER, COMP_ZSTD },
		{ "application/vnd.docker.image.rootfs.diff.tar.gzip", MEDIA_LAYER, COMP_GZIP },
		{ "application/vnd.docker.container.image.v1+json", MEDIA_CONFIG, COMP_NONE },
		{ "text/html", MEDIA_UNKNOWN, COMP_NONE },
		{ NULL, MEDIA_UNKNOWN, COMP_NONE },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum media_compression c = COMP_NONE;
		is_int(media_kind(rows[i].type, &c), rows[i].kind);
		is_int(c, rows[i].c);
	}
}

TAP_MAIN()
