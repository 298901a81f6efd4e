/* thread: see thread.h. */
#include <signal.h>
#include <stdio.h>

#include "seccomp.h"
#include "vmm_impl.h"

static const char *const names[] = { [VMM_THREAD_MAIN] = "vmm",    [VMM_THREAD_CONNECT] = "vmm, connecting",
				     [VMM_THREAD_VCPU] = "vcpu",   [VMM_THREAD_FILE] = "file",
				     [VMM_THREAD_SHARE] = "share", [VMM_THREAD_NET] = "net" };
_Static_assert(ARRAY_SIZE(names) == VMM_THREADS, "every class has a name");

const char *vmm_thread_name(enum vmm_thread class) { return (unsigned)class < VMM_THREADS ? names[class] : "unknown"; }

int vmm_thread_enter(struct vmm *vm, enum vmm_thread class, const char *name)
{
	(void)pthread_setname_np(pthread_self(), name);
	return !vm->plan || vm->plan->seccomp == VMM_SECCOMP_OFF ? 0 : seccomp_enter(class, vm->plan->seccomp);
}

#define STACK_BYTES (512u << 10) /* below 2 MiB: no huge page fits in */

int vmm_thread_new(pthread_t *ret, void *(*fn)(void *arg), void *arg)
{
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);

	if (r == 0) {
		r = pthread_attr_setstacksize(&attr, STACK_BYTES);
		if (r == 0)
			r = pthread_create(ret, &attr, fn, arg);
		(void)pthread_attr_destroy(&attr);
	}
	return -r;
}

struct vmm_worker {
	struct vmm *vm;
	enum vmm_thread class;
	char name[16];
	pthread_t thread;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	void (*fn)(void *arg); /* NULL: idle */
	void *arg;
	bool is_quitting;
};

/* The next job, or NULL: it is time to end. */
static void (*next_job(struct vmm_worker *w, void **ret_arg))(void *)
{
	void (*fn)(void *);

	pthread_mutex_lock(&w->lock);
	while (!w->fn && !w->is_quitting)
		pthread_cond_wait(&w->changed, &w->lock);
	fn = w->fn;
	*ret_arg = w->arg;
	pthread_mutex_unlock(&w->lock);
	return fn;
}

static void end_job(struct vmm_worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->fn = NULL;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void *worker_main(void *arg)
{
	struct vmm_worker *w = arg;
	int r = vmm_thread_enter(w->vm, w->class, w->name);
	void (*fn)(void *);
	void *fn_arg;

	if (r < 0)
		vmm_end(w->vm, VMM_FAILED, "thread %s: %s", w->name, strerror(-r));
	while ((fn = next_job(w, &fn_arg))) {
		if (r >= 0)
			fn(fn_arg);
		end_job(w);
	}
	return NULL;
}

int vmm_worker_new(struct vmm *vm, enum vmm_thread class, const char *name, struct vmm_worker **ret, struct err *e)
{
	struct vmm_worker *w = calloc(1, sizeof(*w));
	sigset_t all, old;
	int r;

	if (!w)
		return err_set(e, ENOMEM, "out of memory");
	w->vm = vm;
	w->class = class;
	snprintf(w->name, sizeof(w->name), "%s", name);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = vmm_thread_new(&w->thread, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0) {
		pthread_cond_destroy(&w->changed);
		pthread_mutex_destroy(&w->lock);
		free(w);
		return err_set(e, -r, "thread %s: %s", name, strerror(-r));
	}
	*ret = w;
	return 0;
}

void vmm_worker_start(struct vmm_worker *w, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&w->lock);
	w->arg = arg;
	w->fn = fn;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

void vmm_worker_wait(struct vmm_worker *w)
{
	pthread_mutex_lock(&w->lock);
	while (w->fn)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

void vmm_worker_free(struct vmm_worker *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->is_quitting = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	(void)pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
