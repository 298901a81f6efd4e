/* Another size for a guest that runs: what is asked of its VMM and what becomes of its answers, against a socket in place of it. */
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"
#include "vm_impl.h"

static struct launch launch;
static struct instance inst;
static int vmm; /* its end */
static int n_called, called_with;
static char called_msg[504];

static void begin(void)
{
	int sv[2];

	is_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
	vmm = sv[0];
	launch = (struct launch){ .vm_mem_bytes = 256 * MIB, .vm_mem_max = 1024 * MIB };
	inst = (struct instance){ .phase = VM_RUNNING, .control_fd = sv[1] };
	inst.cfg.launch = &launch;
	is_int(loop_new(&inst.cfg.loop), 0);
	n_called = called_with = 0;
}

static void end(void)
{
	vm_size_done(&inst);
	loop_del(inst.control_src);
	loop_free(inst.cfg.loop);
	close(vmm);
	close(inst.control_fd);
}

static void on_done(struct instance *i, const struct err *e, void *arg)
{
	ok(i == &inst && arg == &launch);
	n_called++;
	called_with = e ? e->no : 0;
	snprintf(called_msg, sizeof(called_msg), "%s", e ? e->msg : "");
}

static void stop(struct loop *l, int fd _unused_, uint32_t events _unused_, void *arg _unused_) { loop_stop(l, 0); }
static void turn(unsigned ms)
{
	is_int(loop_timer(inst.cfg.loop, ms, stop, NULL, NULL), 0);
	ok(loop_run(inst.cfg.loop) >= 0);
}

static void set_size(uint64_t mib)
{
	struct err e = { 0 };

	if (vm_set_size(&inst, mib * MIB, on_done, &launch, &e) < 0)
		TAP_FAIL("%s", e.msg);
}

/* The next line that came is this size's. */
static void asked(uint64_t mib)
{
	char want[128], got[128];
	ssize_t n = read(vmm, got, sizeof(got) - 1);

	ok(n > 0);
	got[n] = '\0';
	snprintf(want, sizeof(want), "{\"do\":\"resize\",\"mem_bytes\":%llu}\n", (unsigned long long)(mib * MIB));
	is_str(got, want);
}

static void say(const char *text) { is_int(write(vmm, text, strlen(text)), strlen(text)); }
static void plugged(uint64_t asked_mib, uint64_t mib)
{
	char line[128];

	snprintf(line, sizeof(line), "{\"ok\":true,\"mem_bytes\":%llu,\"balloon_bytes\":0,\"plugged_bytes\":%llu}\n",
		 (unsigned long long)(asked_mib * MIB), (unsigned long long)(mib * MIB));
	say(line);
}

TEST(more_is_asked_for_until_it_is_there)
{
	uint64_t b;
	char c;

	begin();
	b = vm_ram_bytes(&launch) / MIB;
	set_size(b + 256);
	asked(b + 256);
	plugged(b + 256, 0);
	turn(10);
	is_int(n_called, 0);
	turn(80);
	asked(b + 256);
	plugged(b + 256, 128);
	turn(80);
	asked(b + 256);
	plugged(b + 256, 256);
	turn(10);
	is_int(n_called, 1);
	is_int(called_with, 0);
	turn(80); /* and no more is said */
	ok(read(vmm, &c, 1) < 0);
	end();
}

TEST(less_than_it_booted_with_is_not_waited_for)
{
	begin();
	set_size(200);
	asked(200);
	plugged(200, 0);
	turn(10);
	is_int(n_called, 1);
	is_int(called_with, 0);
	end();
}

TEST(a_refusal_is_told_at_once_and_a_driver_that_is_not_there_yet_is_waited_for)
{
	begin();
	set_size(4096);
	asked(4096);
	say("{\"ok\":false,\"error\":\"resize: no room\",\"errno\":22}\n");
	turn(10);
	is_int(n_called, 1);
	is_int(called_with, EINVAL);
	is_str(called_msg, "resize: no room");

	set_size(1000);
	say("{\"ok\":false,\"error\":\"resize: no driver\",\"errno\":11}\n");
	turn(10);
	is_int(n_called, 1);
	asked(1000);
	turn(60);
	asked(1000);
	end();
}

TEST(a_newer_wish_ends_the_older_one_whose_answer_is_nobodys)
{
	begin();
	set_size(1000);
	set_size(900);
	is_int(n_called, 1);
	is_int(called_with, ECANCELED);
	plugged(1000, 0);
	turn(10);
	is_int(n_called, 1);
	plugged(900, 900 - vm_ram_bytes(&launch) / MIB);
	turn(10);
	is_int(n_called, 2);
	is_int(called_with, 0);
	end();
}

TEST(what_a_vmm_says_that_is_no_answer_ends_the_wish)
{
	static const char *const lines[] = { "hello\n",
					     "{\"ok\":1}\n",
					     "[]\n",
					     "\n",
					     "{\"ok\":true,\"plugged_bytes\":-1}\n",
					     "{\"ok\":true,\"mem_bytes\":\"x\"}\n" };

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		set_size(1000);
		say(lines[i]);
		turn(10);
		is_int(n_called, (int)i + 1);
		ok(called_with != 0);
	}
	end();
}

TEST(an_answer_without_end_and_the_end_of_the_vmm_are_errors)
{
	static char much[70 << 10];

	begin();
	memset(much, ' ', sizeof(much));
	set_size(1000);
	for (size_t at = 0; at < sizeof(much) && n_called == 0;) {
		ssize_t n = write(vmm, much + at, sizeof(much) - at);

		at += n > 0 ? (size_t)n : 0;
		turn(5);
	}
	is_int(called_with, EPROTO);
	set_size(1000);
	is_int(shutdown(vmm, SHUT_RDWR), 0);
	turn(10);
	is_int(n_called, 2);
	is_int(called_with, ECONNRESET);
	end();
}

TEST(room_is_what_the_most_needs_beyond_the_start_in_whole_128_mib)
{
	struct launch l = { .vm_mem_bytes = 256 * MIB };

	is_int(vm_room_bytes(&l), 0);
	l.vm_mem_max = 256 * MIB;
	is_int(vm_room_bytes(&l), 0);
	l.vm_mem_max = 1024 * MIB;
	is_int(vm_room_bytes(&l) % (128 * MIB), 0);
	ok(vm_ram_bytes(&l) + vm_room_bytes(&l) >= vm_ram_for(1024 * MIB));
	ok(vm_ram_bytes(&l) + vm_room_bytes(&l) < vm_ram_for(1024 * MIB) + 128 * MIB);
	l.vm_mem_max = UINT64_MAX;
	is_int(vm_room_bytes(&l) >> 30, 256);
	l.vm_mem_bytes = 900ull << 30;
	ok(vm_ram_bytes(&l) + vm_room_bytes(&l) <= 1ull << 40);
}

TAP_MAIN()
