/* complete_names: the names in the store. It is read where it is, and only where it is: opening it as a verb does would make it, or
 * tidy up in it. */
#include <unistd.h>

#include "complete.h"
#include "output.h"

void suggest_put(const struct suggest *s, const char *word, const char *about)
{
	_cleanup_free_ char *whole = str_fmt("%s%s", s->prefix, word), *why = strdup(about ? about : "");

	if (!whole || !why || strncmp(word, s->begun, strlen(s->begun)) != 0)
		return;
	for (char *c = why; *c; c++)
		*c = *c == '\t' || *c == '\n' ? ' ' : *c;
	printf("%s\t%s\n", text_defuse(whole), text_defuse(why));
}

static void put_name(const struct suggest *s, const char *name, const char *tail, const char *about)
{
	_cleanup_free_ char *word = str_fmt("%s%s", name, tail);

	if (word)
		suggest_put(s, word, about);
}

static void put_containers(const struct suggest *s, struct records *r, bool only_vms, unsigned states, const char *tail)
{
	struct container_record *list = NULL;
	struct err e = { 0 };
	size_t n = 0;

	if (records_container_list(r, true, &list, &n, &e) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		bool is_vm = list[i].isolation && streq(list[i].isolation, "vm");
		_cleanup_free_ char *about =
			str_fmt("%s, %s", list[i].image_ref ?: "without an image", container_state_name(list[i].state));

		if ((!only_vms || is_vm) && (!states || states & 1u << list[i].state))
			put_name(s, list[i].name, tail, about);
		container_record_done(&list[i]);
	}
	free(list);
}

static void put_images(const struct suggest *s, struct records *r)
{
	_cleanup_strv_ char **refs = NULL;
	struct err e = { 0 };

	if (records_tags(r, NULL, &refs, NULL, &e) < 0)
		return;
	for (char **at = refs; at && *at; at++) {
		_cleanup_(ref_done) struct ref ref = { 0 };
		_cleanup_free_ char *shown = ref_parse(*at, NULL, &ref, &e) < 0 ? NULL : ref_familiar(&ref);

		/* As people write it; whoever has begun to write it whole goes on so. */
		suggest_put(s, shown && strncmp(shown, s->begun, strlen(s->begun)) == 0 ? shown : *at, "image");
	}
}

static void put_volumes(const struct suggest *s, struct records *r, const char *tail)
{
	struct volume_record *list = NULL;
	struct err e = { 0 };
	size_t n = 0;

	if (records_volume_list(r, &list, &n, &e) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		put_name(s, list[i].name, tail, list[i].is_used ? "volume, in use" : "volume");
	volume_records_free(list, n);
}

/* Those that are always there have no record, or not yet. */
static void put_networks(const struct suggest *s, struct records *r)
{
	struct network_record *list = NULL;
	struct err e = { 0 };
	size_t n = 0;

	if (records_network_list(r, &list, &n, &e) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *about = str_fmt("network, %s%s", list[i].driver, list[i].n_endpoints ? ", in use" : "");

		suggest_put(s, list[i].name, about);
	}
	network_records_free(list, n);
}

static void put_pods(const struct suggest *s, struct records *r)
{
	struct pod_record *list = NULL;
	struct err e = { 0 };
	size_t n = 0;

	if (records_pod_list(r, &list, &n, &e) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		suggest_put(s, list[i].name, "pod");
		pod_record_done(&list[i]);
	}
	free(list);
}

static void put_snapshots(const struct suggest *s, struct records *r)
{
	struct snapshot_record *list = NULL;
	struct err e = { 0 };
	size_t n = 0;

	if (records_snapshot_list(r, &list, &n, &e) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *about = str_fmt("snapshot of %s", list[i].vm_name);

		suggest_put(s, list[i].name, about);
	}
	snapshot_records_free(list, n);
}

static void put_kernels(const struct suggest *s, const struct paths *p)
{
	struct vm_kernel_info *list = NULL;
	struct err e = { 0 };
	size_t n = 0;

	if (vm_kernels(p, &list, &n, &e) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		suggest_put(s, list[i].name, list[i].is_default ? "kernel, the default" : "kernel");
	vm_kernels_free(list, n);
}

static void put_secrets(const struct suggest *s, const char *root)
{
	_cleanup_strv_ char **names = NULL;
	struct err e = { 0 };

	if (secret_names(root, &names, &e) < 0)
		return;
	for (char **at = names; at && *at; at++)
		suggest_put(s, *at, "secret");
}

void suggest_names(const struct suggest *s, const char *root, unsigned kinds, unsigned states, const char *tail)
{
	_cleanup_(paths_done) struct paths p = { NULL };
	_cleanup_(records_close_ptr) struct records *r = NULL;
	_cleanup_free_ char *db = NULL;
	struct err e = { 0 };

	if (!kinds || paths_name(&p, root, NULL, &e) < 0)
		return;
	if (kinds & NAMES_KERNEL)
		put_kernels(s, &p);
	if (kinds & NAMES_SECRET)
		put_secrets(s, p.root);
	db = str_fmt("%s/berth.db", p.root);
	if (!db || access(db, R_OK | W_OK) < 0 || records_open(p.root, &r, &e) < 0)
		return;
	if (kinds & (NAMES_CONTAINER | NAMES_VM))
		put_containers(s, r, !(kinds & NAMES_CONTAINER), states, tail);
	if (kinds & NAMES_IMAGE)
		put_images(s, r);
	if (kinds & NAMES_VOLUME)
		put_volumes(s, r, tail);
	if (kinds & NAMES_NETWORK)
		put_networks(s, r);
	if (kinds & NAMES_POD)
		put_pods(s, r);
	if (kinds & NAMES_SNAPSHOT)
		put_snapshots(s, r);
}
