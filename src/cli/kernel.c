/* kernel.c: `berth kernel ls`, `build`, `use`, `rm`, `inspect`: the kernels that virtual machines boot. */
#include "cli.h"
#include "output.h"

struct kernel_ls_args {
	bool quiet;
	char *format;
};
const struct opt kernel_ls_options[] = {
	{ "quiet", 'q', OPT_FLAG, offsetof(struct kernel_ls_args, quiet), NULL, "print names only" },
	{ "format", 0, OPT_STRING, offsetof(struct kernel_ls_args, format), "FORMAT",
	  "json, table, or a template such as {{.Name}}" },
	{ NULL },
};

static const struct column columns[] = {
	{ "NAME", "Name" },
	{ "VERSION", "Version" },
	{ "DEFAULT", "Default" },
	{ "SOURCE", "Source" },
	{ "SIZE", "Size" },
	{ "CREATED", "CreatedSince" },
	{ NULL },
};
static const struct column others[] = { { "FORMAT", "Format" }, { "CREATED AT", "CreatedAt" }, { NULL } };
static const char *const sources[] = {
	[VM_KERNEL_FETCHED] = "distribution", [VM_KERNEL_HOST] = "host", [VM_KERNEL_BUILT] = "built"
};

static int add(struct json_object *row, const char *key, const char *text)
{
	return text ? json_add(row, key, json_object_new_string(text)) : -ENOMEM;
}

static int make_row(const struct vm_kernel_info *i, struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *row = json_object_new_object();
	uint64_t now = clock_real_ns();
	char size[16], ago[32], at[RFC3339_LEN];
	_cleanup_free_ char *since =
		str_fmt("%s ago", clock_ago(now > i->created_ns ? (now - i->created_ns) / 1000000000 : 0, ago));

	if (add(row, "Name", i->name) < 0 || add(row, "Version", i->version) < 0 ||
	    add(row, "Default", i->is_default ? "*" : "") < 0 || add(row, "Source", sources[i->source]) < 0 ||
	    add(row, "Size", str_human_size(i->bytes, size)) < 0 || add(row, "CreatedSince", since) < 0 ||
	    add(row, "CreatedAt", clock_rfc3339(i->created_ns, at)) < 0 || add(row, "Format", i->is_elf ? "elf" : "bzImage") < 0)
		return err_set(e, ENOMEM, "out of memory");
	*ret = TAKE_PTR(row);
	return 0;
}

static int list_kernels(struct cli *c, const struct kernel_ls_args *a, struct err *e)
{
	const struct listing l = { columns, others, a->format, a->quiet ? "Name" : NULL };
	_cleanup_json_ struct json_object *rows = json_object_new_array();
	struct vm_kernel_info *list = NULL;
	size_t n = 0;
	int r = rows ? vm_kernels(engine_paths(c->engine), &list, &n, e) : err_set(e, ENOMEM, "out of memory");

	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct json_object *row = NULL;

		r = make_row(&list[i], &row, e);
		if (r >= 0 && json_object_array_add(rows, row) < 0)
			r = err_set(e, ENOMEM, "out of memory");
	}
	vm_kernels_free(list, n);
	return r < 0 ? r : listing_print(&l, rows, e);
}

int cmd_kernel_ls(struct cli *c, struct err *e)
{
	struct kernel_ls_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = list_kernels(c, &a, e);
	opts_done(kernel_ls_options, &a);
	return MIN(r, 0);
}

/* ---- build ---- */

struct kernel_build_args {
	char *name, *config;
	int64_t jobs;
	bool quiet, use;
};
const struct opt kernel_build_options[] = {
	{ "name", 0, OPT_STRING, offsetof(struct kernel_build_args, name), "NAME", "instead of its version and key" },
	{ "config", 0, OPT_STRING, offsetof(struct kernel_build_args, config), "FILE",
	  "a configuration of your own (kernel.config's form)" },
	{ "jobs", 'j', OPT_I64, offsetof(struct kernel_build_args, jobs), "N", "compilers at once; default: as many as CPUs" },
	{ "use", 0, OPT_FLAG, offsetof(struct kernel_build_args, use), NULL, "make it the default, as berth kernel use does" },
	{ "quiet", 'q', OPT_FLAG, offsetof(struct kernel_build_args, quiet), NULL, "no progress" },
	{ NULL },
};

int cmd_kernel_build(struct cli *c, struct err *e)
{
	struct kernel_build_args a = { 0 };
	_cleanup_free_ char *name = NULL;
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0 && (a.jobs < 0 || a.jobs > 1024))
		r = err_set(e, EINVAL, "--jobs: %lld: between 1 and 1024 is wanted", (long long)a.jobs);
	if (r == 0) {
		const struct vm_kernel_build_opts o = { .name = a.name, .config = a.config, .jobs = a.jobs, .is_quiet = a.quiet };

		r = vm_kernel_build(engine_paths(c->engine), &o, &name, e);
		if (r >= 0 && a.use)
			r = vm_kernel_use(engine_paths(c->engine), name, e);
		if (r >= 0)
			puts(name);
	}
	opts_done(kernel_build_options, &a);
	return MIN(r, 0);
}

/* ---- use, rm ---- */

const struct opt kernel_use_options[] = { { NULL } };

int cmd_kernel_use(struct cli *c, struct err *e)
{
	int r = cli_parse(c, NULL, 1, 1, e);

	if (r == 0)
		r = vm_kernel_use(engine_paths(c->engine), c->operands[0], e);
	if (r == 0)
		puts(c->operands[0]);
	return MIN(r, 0);
}

struct kernel_rm_args {
	bool force;
};
const struct opt kernel_rm_options[] = {
	{ "force", 'f', OPT_FLAG, offsetof(struct kernel_rm_args, force), NULL,
	  "also the default, or one that a virtual machine uses; what does not exist is no error" },
	{ NULL },
};

static int rm_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct kernel_rm_args *a = arg;
	int r = engine_kernel_remove(c->engine, name, a->force, e);

	if (r == -ENOENT && a->force) {
		cli_report(c, e);
		return 0;
	}
	if (r >= 0)
		puts(name);
	return r;
}

int cmd_kernel_rm(struct cli *c, struct err *e)
{
	struct kernel_rm_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	return r == 0 ? cli_each(c, rm_one, &a) : MIN(r, 0);
}

/* ---- inspect ---- */

struct kernel_inspect_args {
	char *format;
};
const struct opt kernel_inspect_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct kernel_inspect_args, format), "FORMAT",
	  "json, or a template such as {{.Path}}" },
	{ NULL },
};

static int find(struct cli *c, const char *name, void *arg, struct json_object **ret, struct err *e)
{
	(void)arg;
	return engine_kernel_inspect(c->engine, name, ret, e);
}

int cmd_kernel_inspect(struct cli *c, struct err *e)
{
	struct kernel_inspect_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	r = r == 0 ? inspect_all(c, a.format, find, NULL, e) : MIN(r, 0);
	opts_done(kernel_inspect_options, &a);
	return r;
}
