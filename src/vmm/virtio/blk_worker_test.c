/* The disk with its worker: kicks, pauses and resets while requests are in hand. */
#include "blk_fixture.h"

/* Waits until the guest has got n answers in all, from both queues. */
static void await(struct rig *r, unsigned n)
{
	for (int ms = 0; (uint16_t)(used_idx(r, 0) + used_idx(r, 1)) != n; ms++) {
		if (ms > 20000)
			TAP_FAIL("%u and %u answers of %u", used_idx(r, 0), used_idx(r, 1), n);
		usleep(1000);
	}
}

static void kick(struct rig *r, unsigned q) { is_int(eventfd_write(r->d->queues[q].kick_fd, 1), 0); }

static void offer_some(struct rig *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		(void)offer(r, i % 2, i % 4 < 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_FLUSH, i, DATA, i % 4 < 2 ? 4096 : 0, false);
	kick(r, 0);
	kick(r, 1);
}

TEST(the_worker_serves_kicks_is_quiet_while_paused_and_forgets_at_a_reset)
{
	struct vmm_plan plan = { .cpus = 1 };
	struct vmm vm = { .plan = &plan, .wake_fd = -1 };
	struct rig r = { .plan.queues = 2 };

	rig_init(&r, false);
	for (unsigned i = 0; i < 2; i++)
		r.d->queues[i].kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	is_int(vmm_worker_new(&vm, r.d->ops->worker_class, "blk", &r.d->workers[0], NULL), 0);
	r.d->ops->quiesce(r.d); /* neither does anything before the driver is there */
	r.d->ops->resume(r.d);
	(void)offer(&r, 0, VIRTIO_BLK_T_IN, 0, DATA, 512, true); /* waits since before the start */
	is_int(r.d->ops->activate(r.d, NULL), 0);
	r.d->is_active = true;
	await(&r, 1);
	offer_some(&r, 40);
	await(&r, 41);
	r.d->ops->quiesce(r.d);
	offer_some(&r, 40);
	usleep(20000);
	is_int(used_idx(&r, 0) + used_idx(&r, 1), 41);
	r.d->ops->resume(r.d);
	await(&r, 81);
	for (unsigned i = 1; i <= 50; i++) {
		offer_some(&r, 20);
		r.d->ops->quiesce(r.d);
		is_int(r.b->n_busy, 0);
		r.d->ops->resume(r.d);
		await(&r, 81 + i * 20); /* or the ring would overflow, where the worker gets no CPU in between */
	}
	offer_some(&r, 40);
	r.d->ops->reset(r.d);
	is_int(r.b->n_busy, 0);
	r.d->is_active = false;
	is_int(r.d->ops->activate(r.d, NULL), 0);
	kick(&r, 0);
	r.d->ops->reset(r.d);
	vmm_worker_free(r.d->workers[0]);
	for (unsigned i = 0; i < 2; i++)
		close(r.d->queues[i].kick_fd);
	rig_done(&r);
}

#ifdef __SANITIZE_THREAD__ /* ten times slower, and it sees a race at the first */
enum { RESETS = 1000 };
#else
enum { RESETS = 10000 };
#endif

TEST(V07_resets_with_256_requests_in_the_rings_forget_them_all)
{
	struct vmm_plan plan = { .cpus = 1 };
	struct vmm vm = { .plan = &plan, .wake_fd = -1 };
	struct rig r = { .plan.queues = 4 };
	unsigned cut = 0, answered;

	rig_init(&r, false);
	for (unsigned i = 0; i < 4; i++)
		r.d->queues[i].kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	is_int(vmm_worker_new(&vm, r.d->ops->worker_class, "blk", &r.d->workers[0], NULL), 0);
	for (unsigned round = 0; round <= RESETS; round++) {
		r.n = 0;
		enable_queues(&r);
		for (unsigned i = 0; i < 256; i++)
			(void)offer(&r, i % 4, i % 8 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_FLUSH, i, DATA + i * 512ull,
				    i % 8 ? 512 : 0, false);
		is_int(r.d->ops->activate(r.d, NULL), 0);
		r.d->is_active = true;
		while (round == RESETS && used_idx(&r, 0) + used_idx(&r, 1) + used_idx(&r, 2) + used_idx(&r, 3) < 256)
			usleep(1000); /* and after all of them it works as ever */
		for (unsigned spin = 0; spin < round % 16 * 500; spin++)
			__asm__ volatile("pause");
		r.d->ops->reset(r.d);
		r.d->is_active = false;
		is_int(r.b->n_busy, 0);
		answered = used_idx(&r, 0) + used_idx(&r, 1) + used_idx(&r, 2) + used_idx(&r, 3);
		cut += answered > 0 && answered < 256;
	}
	printf("# %u of %d resets met requests half done\n", cut, RESETS);
	for (unsigned i = 0; i < 256; i++)
		is_int(status(&r, i), VIRTIO_BLK_S_OK);
	vmm_worker_free(r.d->workers[0]);
	for (unsigned i = 0; i < 4; i++)
		close(r.d->queues[i].kick_fd);
	rig_done(&r);
}

TAP_MAIN()
