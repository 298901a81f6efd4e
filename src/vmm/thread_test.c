/* Workers: lent a function, idle again, joined. */
#include "tiny.h"

#include <sys/eventfd.h>

struct job {
	int go_fd;
	unsigned runs;
	char name[16];
};

static void wait_for_word(void *arg)
{
	struct job *j = arg;
	eventfd_t n;

	(void)!eventfd_read(j->go_fd, &n);
	(void)pthread_getname_np(pthread_self(), j->name, sizeof(j->name));
	j->runs++;
}

TEST(a_worker_runs_each_job_once_and_is_idle_again)
{
	struct job j = { .go_fd = eventfd(0, EFD_CLOEXEC) };
	struct vmm vm = { .wake_fd = -1 };
	struct vmm_worker *w = NULL;

	is_int(vmm_worker_new(&vm, VMM_THREAD_FILE, "disk1.0", &w, NULL), 0);
	vmm_worker_wait(w); /* nothing to wait for */
	for (unsigned i = 1; i <= 3; i++) {
		vmm_worker_start(w, wait_for_word, &j);
		ok(j.runs == i - 1);
		eventfd_write(j.go_fd, 1);
		vmm_worker_wait(w);
		is_int(j.runs, i);
	}
	is_str(j.name, "disk1.0");
	vmm_worker_free(w);
	vmm_worker_free(NULL);
	close(j.go_fd);
}

TEST(every_class_of_threads_has_a_name)
{
	for (int i = 0; i < VMM_THREADS; i++)
		ok(strlen(vmm_thread_name(i)) > 0 && strcmp(vmm_thread_name(i), "unknown") != 0);
	is_str(vmm_thread_name(VMM_THREADS), "unknown");
}

TAP_MAIN()
