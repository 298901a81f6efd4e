/* system_df.c: `berth system df`: what images, containers and volumes take of the disk, in docker's columns and by docker's rules: what is
 * reclaimable is what goes when all that is not active goes. Berth builds nothing, so the build cache is empty. */
#include <stdio.h>

#include "image_row.h"
#include "ps_row.h"

struct df_args {
	bool verbose;
	char *format;
};
const struct opt system_df_options[] = {
	{ "verbose", 'v', OPT_FLAG, offsetof(struct df_args, verbose), NULL, "each image, container and volume" },
	{ "format", 0, OPT_STRING, offsetof(struct df_args, format), "FORMAT", "json, table, or a template such as {{.Type}}" },
	{ NULL },
};

struct layer {
	char *chain_id; /* borrowed from an image */
	uint64_t bytes;
	size_t users; /* images */
};
struct usage {
	struct cli *c;
	struct image_record *images;
	struct container_record *containers;
	struct volume_record *volumes;
	size_t n_images, n_containers, n_volumes, n_layers;
	struct layer *layers;
	uint64_t *container_bytes, *volume_bytes;
	size_t *volume_links;
};

static int out_of_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }

static void usage_done(struct usage *u)
{
	for (size_t i = 0; i < u->n_images; i++)
		image_record_done(&u->images[i]);
	free(u->images);
	engine_list_free(u->containers, u->n_containers);
	volume_records_free(u->volumes, u->n_volumes);
	free(u->layers);
	free(u->container_bytes);
	free(u->volume_bytes);
	free(u->volume_links);
}

/* ---- gathering ---- */

static struct layer *find_layer(struct usage *u, const char *chain_id)
{
	for (size_t i = 0; i < u->n_layers; i++)
		if (streq0(u->layers[i].chain_id, chain_id))
			return &u->layers[i];
	return NULL;
}

static int gather_layers(struct usage *u, struct err *e)
{
	size_t most = 0;

	for (size_t i = 0; i < u->n_images; i++)
		most += strv_len(u->images[i].chain_ids);
	if (!(u->layers = calloc(most + 1, sizeof(*u->layers))))
		return out_of_memory(e);
	for (size_t i = 0; i < u->n_images; i++) {
		for (char **id = u->images[i].chain_ids; id && *id; id++) {
			struct layer *l = find_layer(u, *id);
			struct err missing = { 0 };
			if (!l) {
				l = &u->layers[u->n_layers++];
				l->chain_id = *id;
				/* One that is missing takes nothing; `system check` is who tells. */
				if (image_layer_size(engine_store(u->c->engine), *id, &l->bytes, &missing) < 0)
					l->bytes = 0;
			}
			l->users++;
		}
	}
	return 0;
}

static int gather_sizes(struct usage *u, struct err *e)
{
	int r = 0;

	u->container_bytes = calloc(u->n_containers + 1, sizeof(uint64_t));
	u->volume_bytes = calloc(u->n_volumes + 1, sizeof(uint64_t));
	u->volume_links = calloc(u->n_volumes + 1, sizeof(size_t));
	if (!u->container_bytes || !u->volume_bytes || !u->volume_links)
		return out_of_memory(e);
	for (size_t i = 0; r >= 0 && i < u->n_containers; i++)
		r = engine_container_bytes(u->c->engine, &u->containers[i], &u->container_bytes[i], e);
	for (size_t i = 0; r >= 0 && i < u->n_volumes; i++)
		r = engine_volume_bytes(u->c->engine, u->volumes[i].name, &u->volume_bytes[i], &u->volume_links[i], e);
	return r;
}

static int gather(struct usage *u, struct err *e)
{
	int r = engine_list(u->c->engine, true, &u->containers, &u->n_containers, e);

	if (r >= 0)
		r = records_image_list(store_records(engine_store(u->c->engine)), &u->images, &u->n_images, e);
	if (r >= 0)
		r = engine_volume_list(u->c->engine, &u->volumes, &u->n_volumes, e);
	if (r >= 0)
		r = gather_layers(u, e);
	return r < 0 ? r : gather_sizes(u, e);
}

/* ---- sums ---- */

static size_t users_of(const struct usage *u, const struct image_record *i)
{
	size_t n = 0;

	for (size_t k = 0; k < u->n_containers; k++)
		n += streq0(u->containers[k].image_id, i->id);
	return n;
}

static uint64_t shared_bytes(struct usage *u, const struct image_record *i)
{
	uint64_t sum = 0;

	for (char **id = i->chain_ids; id && *id; id++) {
		const struct layer *l = find_layer(u, *id);
		sum += l && l->users > 1 ? l->bytes : 0;
	}
	return sum;
}

static uint64_t unique_bytes(struct usage *u, const struct image_record *i)
{
	uint64_t shared = shared_bytes(u, i);

	return i->size_bytes > shared ? i->size_bytes - shared : 0;
}

struct sum {
	const char *type;
	size_t total, active;
	uint64_t bytes, reclaimable;
};

static void sum_up(struct usage *u, struct sum ret[4])
{
	struct sum *images = &ret[0], *containers = &ret[1], *volumes = &ret[2];
	uint64_t used = 0;

	*images = (struct sum){ .type = "Images", .total = u->n_images };
	*containers = (struct sum){ .type = "Containers", .total = u->n_containers };
	*volumes = (struct sum){ .type = "Local Volumes", .total = u->n_volumes };
	ret[3] = (struct sum){ .type = "Build Cache" };
	for (size_t i = 0; i < u->n_layers; i++)
		images->bytes += u->layers[i].bytes;
	for (size_t i = 0; i < u->n_images; i++) {
		if (users_of(u, &u->images[i]) == 0)
			continue;
		images->active++;
		used += unique_bytes(u, &u->images[i]);
	}
	images->reclaimable = images->bytes > used ? images->bytes - used : 0;
	for (size_t i = 0; i < u->n_containers; i++) {
		bool is_up = container_is_up(u->containers[i].state);
		containers->active += is_up;
		containers->bytes += u->container_bytes[i];
		containers->reclaimable += is_up ? 0 : u->container_bytes[i];
	}
	for (size_t i = 0; i < u->n_volumes; i++) {
		volumes->active += u->volume_links[i] > 0;
		volumes->bytes += u->volume_bytes[i];
		volumes->reclaimable += u->volume_links[i] ? 0 : u->volume_bytes[i];
	}
}

/* ---- rows ---- */

static int add(struct json_object *row, const char *key, const char *text)
{
	return text ? json_add(row, key, json_object_new_string(text)) : -ENOMEM;
}

static int add_number(struct json_object *row, const char *key, size_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%zu", n);
	return add(row, key, text);
}

static int sum_row(const struct sum *s, struct json_object *rows)
{
	struct json_object *row = json_object_new_object();
	char size[16], reclaimable[16], text[40];

	str_human_size(s->reclaimable, reclaimable);
	snprintf(text, sizeof(text), s->bytes ? "%s (%llu%%)" : "%s", reclaimable,
		 s->bytes ? (unsigned long long)(s->reclaimable * 100 / s->bytes) : 0ULL);
	if (add_number(row, "Active", s->active) < 0 || add(row, "Reclaimable", text) < 0 ||
	    add(row, "Size", str_human_size(s->bytes, size)) < 0 || add_number(row, "TotalCount", s->total) < 0 ||
	    add(row, "Type", s->type) < 0 || json_object_array_add(rows, row) < 0) {
		json_object_put(row);
		return -ENOMEM;
	}
	return 0;
}

static int image_rows(struct usage *u, struct json_object *rows, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < u->n_images; i++) {
		_cleanup_strv_ char **refs = NULL;
		struct json_object *row = NULL;
		char shared[16], unique[16];
		r = records_tags(store_records(engine_store(u->c->engine)), u->images[i].id, &refs, NULL, e);
		if (r >= 0)
			r = image_row(&u->images[i], refs ? refs[0] : NULL, false, &row, e);
		if (r < 0)
			return r;
		if (add(row, "SharedSize", str_human_size(shared_bytes(u, &u->images[i]), shared)) < 0 ||
		    add(row, "UniqueSize", str_human_size(unique_bytes(u, &u->images[i]), unique)) < 0 ||
		    add_number(row, "Containers", users_of(u, &u->images[i])) < 0 || json_object_array_add(rows, row) < 0) {
			json_object_put(row);
			return out_of_memory(e);
		}
	}
	return r;
}

static int container_rows(struct usage *u, struct json_object *rows, struct err *e)
{
	uint64_t now = clock_real_ns();
	int r = 0;

	for (size_t i = 0; r >= 0 && i < u->n_containers; i++) {
		struct engine_mount *mounts = NULL;
		struct json_object *row = NULL;
		size_t n = 0;
		char size[16];
		r = ps_row(&u->containers[i], now, false, &row, e);
		if (r < 0)
			return r;
		if (engine_container_mounts(u->c->engine, u->containers[i].id, &mounts, &n, NULL) >=
		    0) /* else removed meanwhile */
			r = ps_row_mounts(mounts, n, false, row, e);
		engine_mounts_free(mounts, n);
		if (r >= 0 &&
		    (add(row, "Size", str_human_size(u->container_bytes[i], size)) < 0 || json_object_array_add(rows, row) < 0))
			r = out_of_memory(e);
		if (r < 0)
			json_object_put(row);
	}
	return r;
}

static int volume_rows(struct usage *u, struct json_object *rows, struct err *e)
{
	for (size_t i = 0; i < u->n_volumes; i++) {
		struct json_object *row = json_object_new_object();
		char size[16];
		if (add(row, "Name", u->volumes[i].name) < 0 || add_number(row, "Links", u->volume_links[i]) < 0 ||
		    add(row, "Size", str_human_size(u->volume_bytes[i], size)) < 0 ||
		    add(row, "Driver", u->volumes[i].driver) < 0 || json_object_array_add(rows, row) < 0) {
			json_object_put(row);
			return out_of_memory(e);
		}
	}
	return 0;
}

/* ---- printing ---- */

static int print_sums(struct usage *u, const char *format, struct err *e)
{
	static const struct column columns[] = { { "TYPE", "Type" }, { "TOTAL", "TotalCount" },        { "ACTIVE", "Active" },
						 { "SIZE", "Size" }, { "RECLAIMABLE", "Reclaimable" }, { NULL } };
	const struct listing l = { columns, NULL, format, NULL };
	_cleanup_json_ struct json_object *rows = json_object_new_array();
	struct sum sums[4];

	sum_up(u, sums);
	for (size_t i = 0; i < ARRAY_SIZE(sums); i++)
		if (!rows || sum_row(&sums[i], rows) < 0)
			return out_of_memory(e);
	return listing_print(&l, rows, e);
}

static const struct column image_columns[] = {
	{ "REPOSITORY", "Repository" },
	{ "TAG", "Tag" },
	{ "IMAGE ID", "ID" },
	{ "CREATED", "CreatedSince" },
	{ "SIZE", "Size" },
	{ "SHARED SIZE", "SharedSize" },
	{ "UNIQUE SIZE", "UniqueSize" },
	{ "CONTAINERS", "Containers" },
	{ NULL },
};
static const struct column container_columns[] = {
	{ "CONTAINER ID", "ID" },
	{ "IMAGE", "Image" },
	{ "COMMAND", "Command" },
	{ "LOCAL VOLUMES", "LocalVolumes" },
	{ "SIZE", "Size" },
	{ "CREATED", "RunningFor" },
	{ "STATUS", "Status" },
	{ "NAMES", "Names" },
	{ NULL },
};
static const struct column volume_columns[] = { { "VOLUME NAME", "Name" }, { "LINKS", "Links" }, { "SIZE", "Size" }, { NULL } };
static const struct column cache_columns[] = { { "CACHE ID", "ID" },
					       { "CACHE TYPE", "CacheType" },
					       { "SIZE", "Size" },
					       { "CREATED", "CreatedSince" },
					       { "LAST USED", "LastUsedSince" },
					       { "USAGE", "UsageCount" },
					       { "SHARED", "Shared" },
					       { NULL } };

static const struct {
	const char *key, *heading;
	const struct column *columns;
	int (*rows)(struct usage *, struct json_object *, struct err *);
} parts[] = {
	{ "Images", "Images space usage:", image_columns, image_rows },
	{ "Containers", "Containers space usage:", container_columns, container_rows },
	{ "Volumes", "Local Volumes space usage:", volume_columns, volume_rows },
	{ "BuildCache", "Build cache usage: 0B", cache_columns, NULL },
};

static int print_all(struct usage *u, const char *format, struct err *e)
{
	_cleanup_json_ struct json_object *all = json_object_new_object();
	int r = all ? 0 : out_of_memory(e);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++) {
		struct json_object *rows = json_object_new_array();
		if (json_add(all, parts[i].key, rows) < 0)
			return out_of_memory(e);
		if (parts[i].rows)
			r = parts[i].rows(u, rows, e);
	}
	if (r < 0 || format)
		return r < 0 ? r : document_print(all, format, e);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++) {
		const struct listing l = { parts[i].columns, NULL, NULL, NULL };
		printf("%s%s\n\n", i ? "\n" : "", parts[i].heading);
		r = listing_print(&l, json_object_object_get(all, parts[i].key), e);
	}
	return r;
}

int cmd_system_df(struct cli *c, struct err *e)
{
	struct usage u = { .c = c };
	struct df_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = gather(&u, e);
	if (r == 0)
		r = a.verbose ? print_all(&u, a.format, e) : print_sums(&u, a.format, e);
	usage_done(&u);
	opts_done(system_df_options, &a);
	return MIN(r, 0);
}
