/* sweep.c: what a crash may have left that no record knows: containers' directories and run state; and what virtual
 * machines boot from that none will again. `system prune` calls it. */
#include "engine_impl.h"
#include "network_plan.h"

#include <dirent.h>
#include <signal.h>

#include "volumes_impl.h"

static void closedir_ptr(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* A monitor that is alive before its record: of a `run` on its way (engine/run.c), and gone by itself if that fails. */
static bool is_being_made(struct engine *en, const char *id)
{
	struct monitor_state st;

	return monitor_inspect(en->paths, id, &st, NULL) == 0 && st.truth == MONITOR_STARTING;
}

static bool is_id(const char *s) { return strlen(s) == 64 && s[strspn(s, "0123456789abcdef")] == 0; }

/* ".ID.PID": what a monitor makes before it is a run directory (monitor/state.c), where it was killed in between. */
static bool is_lost_claim(const char *s)
{
	uint64_t pid;

	return s[0] == '.' && strspn(s + 1, "0123456789abcdef") == 64 && s[65] == '.' && str_to_u64(s + 66, &pid) == 0 &&
	       pid <= INT_MAX && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* Who keeps a guest holds its container's lock. */
static bool is_lost_keeper(struct engine *en, const char *s)
{
	const char *id = str_after(s, GUEST_FILES_RUN);
	_cleanup_fd_ int lock = -1;

	return id && is_id(id) && container_lock(en, id, &lock, NULL) >= 0;
}

int leftover(const struct leftovers *l, int dirfd, const char *dir, const char *name, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", dir, name);
	int r;

	if (!path)
		return OUT_OF_MEMORY(e);
	if (l) {
		l->found(path, l->arg);
		return 0;
	}
	r = rm_rf(dirfd, name);
	return r < 0 ? err_set(e, -r, "remove %s: %s", path, strerror(-r)) : 0;
}

/* Of a container that no record knows: what isolations have of it in the kernel, then its files. */
static int sweep_container(struct engine *en, const char *id, struct err *e)
{
	struct host h = { 0 };
	int r = host_probe_cgroup_ours(&h, e);

	for (size_t i = 0; r >= 0 && isolations[i]; i++)
		r = isolations[i]->sweep(&h, en->paths, id, e);
	host_done(&h);
	return r < 0 ? r : remove_files(en->paths, id, e);
}

/* Nobody can be making these now: the caller holds the store's lock exclusively, and engine_create holds it shared. */
static int sweep_dir(struct engine *en, const struct leftovers *l, const char *parent, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/containers", parent);
	_cleanup_(closedir_ptr) DIR *d = path ? opendir(path) : NULL;

	if (!path)
		return OUT_OF_MEMORY(e);
	if (!d)
		return errno == ENOENT ? 0 : err_set(e, errno, "%s: %s", path, strerror(errno));
	for (struct dirent *ent; (ent = readdir(d));) {
		struct container_record c;
		if (str_after(ent->d_name, DOOMED_RUN) || is_lost_claim(ent->d_name)) {
			int gone = leftover(l, dirfd(d), path, ent->d_name, e);
			if (gone < 0)
				return gone;
		}
		if (is_lost_keeper(en, ent->d_name)) {
			int gone = l ? leftover(l, dirfd(d), path, ent->d_name, e)
				     : guest_idle_sweep(en, str_after(ent->d_name, GUEST_FILES_RUN), e);
			if (gone < 0)
				return gone;
		}
		if (!is_id(ent->d_name))
			continue;
		int r = records_container_get(en->records, ent->d_name, &c, NULL);
		if (r >= 0)
			container_record_done(&c);
		if (r != -ENOENT || is_being_made(en, ent->d_name))
			continue;
		r = l ? leftover(l, dirfd(d), path, ent->d_name, e) : sweep_container(en, ent->d_name, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A plan without a record: of a pod that was being made, or removed. */
static int sweep_pods(struct engine *en, const struct leftovers *l, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/pods", en->paths->root);
	_cleanup_(closedir_ptr) DIR *d = path ? opendir(path) : NULL;

	if (!path)
		return OUT_OF_MEMORY(e);
	if (!d && errno != ENOENT)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	for (struct dirent *ent; d && (ent = readdir(d));) {
		struct pod_record p;
		int r = is_id(ent->d_name) ? records_pod_get(en->records, ent->d_name, &p, NULL) : 0;
		if (r == 0 && is_id(ent->d_name))
			pod_record_done(&p);
		if (r == -ENOENT)
			r = l ? leftover(l, dirfd(d), path, ent->d_name, e) : pod_remove_files(en, ent->d_name, e);
		if (r < 0)
			return r;
	}
	return l ? 0 : pod_sweep_all_networks(en, e);
}

/* The parent of all containers' cgroups, where it has none any more; the next start makes it again. */
static int sweep_cgroups(struct err *e)
{
	struct host h = { 0 };
	int r = host_probe_cgroup_ours(&h, e);

	if (r >= 0)
		cgroup_remove_empty(&h, "/berth");
	host_done(&h);
	return MIN(r, 0);
}

static int prune_guests(struct engine *en, struct err *e)
{
	_cleanup_strv_ char **kernels = NULL;
	int r = kernel_names_used(en, &kernels, e);

	return r < 0 ? r : vm_prune(en->paths, kernels, e);
}

/* Under the store's lock, exclusively. */
static int sweep_all(struct engine *en, const struct leftovers *l, struct err *e)
{
	int r = sweep_dir(en, l, en->paths->root, e);

	if (r >= 0)
		r = sweep_dir(en, l, en->paths->run, e);
	if (r >= 0)
		r = sweep_pods(en, l, e);
	if (r >= 0)
		r = snapshots_sweep(en, l, e);
	return r < 0 ? r : volumes_sweep(en, l, e);
}

int engine_leftovers(struct engine *en, const struct leftovers *l, struct err *e)
{
	int r = store_lock(en->store, STORE_EXCLUSIVE, e);

	if (r >= 0)
		r = sweep_all(en, l, e);
	store_lock(en->store, STORE_UNLOCKED, NULL);
	return r;
}

int engine_sweep(struct engine *en, struct err *e)
{
	int r = store_lock(en->store, STORE_EXCLUSIVE, e);

	if (r == -EBUSY)
		return 0; /* something is being made: it is no leftover, and the next prune comes */
	if (r < 0)
		return r;
	r = sweep_all(en, NULL, e);
	if (r >= 0)
		r = prune_guests(en, e);
	if (r >= 0)
		r = sweep_cgroups(e);
	if (r >= 0)
		r = network_sweep_all(en, e);
	store_lock(en->store, STORE_UNLOCKED, NULL);
	return r < 0 ? r : store_gc(en->store, e);
}
