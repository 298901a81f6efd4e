/* Links: see monitor_impl.h. A link is on two lists; freeing it takes it off both and lets the process go on without it. */
#include <stdio.h>

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
	struct monitor *m = l->proc->m;
	char why[160];

	l->stall = NULL;
	snprintf(why, sizeof(why),
		 "this reader has not read for %.1f s while the container waited for it; the container goes on, its log has the "
		 "output",
		 (double)m->stall_ms / 1000);
	client_drop(l->client, why);
	monitor_maybe_leave(m);
}

void link_arm_stall(struct link *l)
{
	if (l->stall || !l->proc->is_main)
		return;
	int r = loop_timer(l->proc->m->loop, l->proc->m->stall_ms, on_stall, l, &l->stall);
	if (r < 0)
		log_warn("attach", "no timer for a slow reader: out of memory");
}
