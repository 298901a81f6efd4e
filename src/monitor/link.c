/* Links: see monitor_impl.h. A link is on two lists; freeing it takes it off both and lets the process go on without it. */
#include "monitor_impl.h"

struct link *link_new(struct proc *p, struct client *c, uint16_t channel)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct link){
		.proc = p,
		.client = c,
		.channel = channel,
		.credit = { FRAME_WINDOW, FRAME_WINDOW },
		.next_of_proc = p->links,
		.next_of_client = c->links,
	};
	p->links = l;
	c->links = l;
	return l;
}

void link_free(struct link *l)
{
	struct link **at;

	for (at = &l->proc->links; *at != l; at = &(*at)->next_of_proc)
		;
	*at = l->next_of_proc;
	for (at = &l->client->links; *at != l; at = &(*at)->next_of_client)
		;
	*at = l->next_of_client;
	loop_del(l->stall);
	buf_done(&l->in_queue);
	free(l);
}

struct link *link_find(struct client *c, uint16_t channel)
{
	struct link *l = c->links;

	while (l && l->channel != channel)
		l = l->next_of_client;
	return l;
}

static void on_stall(struct loop *loop _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct link *l = arg;

	l->stall = NULL;
	client_drop(l->client,
		    "this reader has not read for 10 s and the container can't wait for it; it goes on, and its log has "
		    "the output");
	monitor_maybe_leave(l->proc->m);
}
_Static_assert(STALL_MS == 10000, "the message above says 10 s");

void link_arm_stall(struct link *l)
{
	if (l->stall || !l->proc->is_main)
		return;
	int r = loop_timer(l->proc->m->loop, STALL_MS, on_stall, l, &l->stall);
	if (r < 0)
		log_warn("attach", "no timer for a slow reader: out of memory");
}
