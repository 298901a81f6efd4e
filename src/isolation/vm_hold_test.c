/* A guest at rest: what is sent to it when, against a socket in place of the guest. */
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"
#include "vm_impl.h"

static struct instance inst;
static int guest; /* its end */
static unsigned n_called;
static int called_with;

static int no_frame(struct link *l _unused_, const struct frame *f _unused_, struct err *e _unused_) { return 0; }
static void no_break(struct link *l _unused_, const struct err *e _unused_) {}

static void at_rest(struct instance *i _unused_, const struct err *e, void *arg _unused_)
{
	n_called++;
	called_with = e ? e->no : 0;
}

static void begin(void)
{
	int sv[2];

	is_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	guest = sv[0];
	inst = (struct instance){ .phase = VM_RUNNING };
	is_int(loop_new(&inst.cfg.loop), 0);
	inst.link = (struct link){ .on_frame = no_frame, .on_broken = no_break };
	is_int(link_init(&inst.link, inst.cfg.loop, sv[1]), 0);
	n_called = 0;
}

static void end(void)
{
	link_done(&inst.link);
	loop_free(inst.cfg.loop);
	close(guest);
}

/* What has come: the types of the frames. */
static const char *came(void)
{
	static char names[200];
	_cleanup_buf_ struct buf b = { NULL };
	char chunk[4096];
	struct frame f;
	ssize_t n;

	while ((n = read(guest, chunk, sizeof(chunk))) > 0)
		buf_add(&b, chunk, (size_t)n);
	names[0] = '\0';
	while (frame_peek(&b, &f) == 1) {
		strncat(names, *names ? " " : "", sizeof(names) - strlen(names) - 1);
		strncat(names, frame_type_name(f.type), sizeof(names) - strlen(names) - 1);
		buf_consume(&b, FRAME_HDR + f.len);
	}
	return names;
}

static void say_stats(void)
{
	frame_put(&inst.link.out, FRAME_STATS, 0, NULL, 0);
	link_flush(&inst.link);
}

static int answer(const char *why)
{
	const struct frame f = { .type = FRAME_QUIESCE, .payload = (const uint8_t *)why, .len = (uint32_t)strlen(why) };
	struct err e = { 0 };

	return vm_hold_answer(&inst, &f, &e);
}

TEST(nothing_is_sent_from_the_question_to_the_release_which_comes_first)
{
	struct err e = { 0 };

	begin();
	is_int(vm_hold(&inst, at_rest, NULL, &e), 0);
	is_str(came(), "QUIESCE");
	say_stats();
	is_str(came(), "");
	is_int(vm_hold(&inst, at_rest, NULL, &e), -EBUSY);
	is_int(answer(""), 0);
	is_int((int)n_called, 1);
	is_int(called_with, 0);
	say_stats();
	is_str(came(), "");
	vm_release(&inst);
	is_str(came(), "RELEASE STATS STATS");
	say_stats();
	is_str(came(), "STATS");
	end();
}

/* The copy's limits are those of the size that it was started with. */
TEST(one_that_has_grown_beyond_its_start_is_not_copied)
{
	struct err e = { 0 };

	begin();
	inst.grown_bytes = 2 << 20;
	is_int(vm_hold(&inst, at_rest, NULL, &e), -EBUSY);
	has_str(e.msg, "update --memory");
	is_str(came(), "");
	inst.grown_bytes = 0;
	is_int(vm_hold(&inst, at_rest, NULL, &e), 0);
	end();
}

TEST(a_guest_that_can_not_come_to_rest_is_released_and_its_reason_told)
{
	struct err e = { 0 };

	begin();
	is_int(vm_hold(&inst, at_rest, NULL, &e), 0);
	is_int(answer("a process can't be stopped"), 0);
	is_int((int)n_called, 1);
	is_int(called_with, EIO);
	is_str(came(), "QUIESCE RELEASE");
	is_int(vm_hold(&inst, at_rest, NULL, &e), 0);
	end();
}

TEST(who_gives_up_before_the_answer_is_not_called_and_the_answer_is_no_fault)
{
	struct err e = { 0 };

	begin();
	is_int(vm_hold(&inst, at_rest, NULL, &e), 0);
	vm_release(&inst);
	is_str(came(), "QUIESCE RELEASE");
	is_int(vm_hold(&inst, at_rest, NULL, &e), -EBUSY); /* until the guest has answered the first */
	is_int(answer(""), 0);
	is_int((int)n_called, 0);
	is_int(vm_hold(&inst, at_rest, NULL, &e), 0);
	end();
}

TEST(a_guest_that_comes_to_rest_unasked_breaks_the_protocol)
{
	begin();
	is_int(answer(""), -EPROTO);
	end();
}

TEST(the_end_of_the_vm_ends_the_waiting)
{
	struct err e = { 0 }, why = { .no = EIO, .msg = "gone" };

	begin();
	is_int(vm_hold(&inst, at_rest, NULL, &e), 0);
	inst.phase = VM_ENDED;
	vm_hold_lost(&inst, &why);
	is_int((int)n_called, 1);
	is_int(called_with, EIO);
	end();
}

TEST(a_pods_machine_is_not_brought_to_rest_for_one_of_its_containers)
{
	struct err e = { 0 };

	begin();
	inst.in_pod = true;
	is_int(vm_hold(&inst, at_rest, NULL, &e), -EOPNOTSUPP);
	has_str(e.msg, "pod");
	is_str(came(), "");
	end();
}

TEST(a_paused_vm_is_not_brought_to_rest)
{
	struct err e = { 0 };

	begin();
	inst.is_paused = true;
	is_int(vm_hold(&inst, at_rest, NULL, &e), -EBUSY);
	has_str(e.msg, "unpause");
	end();
}

TAP_MAIN()
