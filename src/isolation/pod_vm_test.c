/* The holder of a pod's virtual machine, between monitors and a guest that are both this test: whose frames go where, who is let in,
 * and how it ends. The linker gives this program its own vm_start_machine (--wrap), whose machine is a process that sleeps and a
 * socket. */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "tap.h"
#include "vm_impl.h"

#define POD        "0123456789abcdef"
#define PATIENCE_S 20

static int guest_end; /* for the holder: the end of the socket that is its guest's port */

int __wrap_vm_start_machine(struct instance *i, struct err *e);
int __wrap_vm_start_machine(struct instance *i, struct err *e _unused_)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	i->vmm = pid;
	i->vmm_pidfd = pidfd_open_(pid);
	i->agent_fd = guest_end;
	i->backend = &vm_backend_qemu;
	i->phase = VM_BOOTING;
	ok(i->more && i->n_more == 1); /* of three disks the first two are in their own places */
	return 0;
}

struct fixture {
	char run[64];
	struct paths paths;
	struct host host;
	struct spec plan;
	struct launch launch;
	struct pod_vm_member members[2];
	struct pod_vm_config cfg;
	pid_t holder;
	int guest;
	struct err e;
};

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	strcpy(f->run, "/tmp/berth-podvm-XXXXXX");
	ok(mkdtemp(f->run) != NULL);
	f->paths = (struct paths){ .root = f->run, .run = f->run, .libexec = f->run };
	spec_init(&f->plan);
	is_int(spec_default(&f->plan, &f->e), 0);
	ok(strv_push(&f->plan.process.args, "pod") == 0);
	f->launch =
		(struct launch){ .id = (char[]){ POD }, .isolation = (char[]){ "vm" }, .vm_cpus = 1, .vm_mem_bytes = 64 << 20 };
	for (int i = 0; i < 2; i++) {
		f->members[i] = (struct pod_vm_member){ .id = strdup(i ? "second" : "first"),
							.image_disk = strdup("/nowhere/image"),
							.upper_disk = strdup(i ? "/nowhere/upper2" : "/nowhere/upper1") };
		spec_init(&f->members[i].plan);
		is_int(spec_default(&f->members[i].plan, &f->e), 0);
	}
	f->cfg = (struct pod_vm_config){ .id = POD,
					 .paths = &f->paths,
					 .plan = &f->plan,
					 .launch = &f->launch,
					 .members = f->members,
					 .n_members = 2,
					 .rundir = f->run };
	ok(mkdir(tap_keep(str_fmt("%s/containers", f->run)), 0700) == 0 &&
	   mkdir(tap_keep(str_fmt("%s/containers/" POD, f->run)), 0700) == 0);
	f->cfg.rundirfd = open(tap_keep(str_fmt("%s/containers/" POD, f->run)), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(f->cfg.rundirfd >= 0);
}

/* The holder in a process of its own, serving. */
static void start(struct fixture *f)
{
	int sv[2], ready[2];
	char byte;

	setup(f);
	ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0 && pipe2(ready, O_CLOEXEC) == 0);
	f->holder = fork();
	if (f->holder == 0) {
		struct err e = { 0 };
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(sv[0]);
		close(ready[0]);
		guest_end = sv[1];
		ok(fd_nonblock(guest_end, true) == 0);
		f->cfg.ready_fd = ready[1];
		int r = pod_vm_run(&f->cfg, &e);
		if (r < 0)
			printf("# holder: %s\n", e.msg);
		fflush(stdout);
		_exit(r < 0);
	}
	close(sv[1]);
	close(ready[1]);
	f->guest = sv[0];
	ok(read(ready[0], &byte, 1) == 1 && byte == 'R');
	close(ready[0]);
}

static void done(struct fixture *f)
{
	for (int i = 0; i < 2; i++) {
		free(f->members[i].id);
		free(f->members[i].image_disk);
		free(f->members[i].upper_disk);
		spec_done(&f->members[i].plan);
	}
	spec_done(&f->plan);
	close(f->cfg.rundirfd);
	is_int(rm_rf(AT_FDCWD, f->run), 0);
}

/* It has ended well, and nobody can come any more. */
static void ended_well(struct fixture *f)
{
	int status;

	ok(waitpid(f->holder, &status, 0) == f->holder);
	is_int(status, 0);
	ok(faccessat(f->cfg.rundirfd, POD_VM_SOCKET, F_OK, 0) < 0);
	close(f->guest);
	done(f);
}

/* Ends it as whoever stops it from outside does. */
static void end(struct fixture *f)
{
	kill(f->holder, SIGTERM);
	ended_well(f);
}

/* ---- frames ---- */

static void put(int fd, enum frame_type type, uint16_t channel, const void *data, size_t n)
{
	_cleanup_buf_ struct buf b = { 0 };

	frame_put(&b, type, channel, data, (uint32_t)n);
	is_int(fd_write_full(fd, b.data, b.len), 0);
}
#define PUT(fd, type, channel, text) put(fd, type, channel, text, strlen(text))

/* The next one; "TYPE CHANNEL: PAYLOAD", or "end". */
static const char *get(int fd)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct frame f;
	char byte;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		if (frame_peek(&b, &f) == 1)
			return tap_keep(
				str_fmt("%s %u: %.*s", frame_type_name(f.type), f.channel, (int)f.len, (const char *)f.payload));
		if (poll(&p, 1, PATIENCE_S * 1000) != 1)
			TAP_FAIL("nothing came for %d s", PATIENCE_S);
		if (read(fd, &byte, 1) != 1)
			return "end";
		buf_add(&b, &byte, 1);
	}
}

static bool is_silent(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 100) == 0;
}

static void greet(int fd, const char *build)
{
	_cleanup_buf_ struct buf b = { 0 };

	buf_add(&b, (const uint8_t[4]){ FRAME_VERSION }, 4);
	buf_str(&b, build);
	put(fd, FRAME_HELLO, 0, b.data, b.len);
}

static struct pod_vm_place join(struct fixture *f, const char *id)
{
	struct pod_vm_place p;

	if (pod_vm_join(&f->paths, POD, id, &p, &f->e) < 0)
		TAP_FAIL("%s", f->e.msg);
	return p;
}

static int joined(struct fixture *f, const char *id)
{
	struct pod_vm_place p = join(f, id);

	pod_vm_place_done(&p);
	return p.fd;
}

static int refused(struct fixture *f, const char *id, const char *says)
{
	struct pod_vm_place p;
	int r = pod_vm_join(&f->paths, POD, id, &p, &f->e);

	ok(r < 0);
	has_str(f->e.msg, says);
	return r;
}

enum { SLOT_2 = 1 << GUEST_SLOT_SHIFT };

/* ---- the claims ---- */

TEST(a_monitor_is_told_its_disks_and_hears_the_guest_when_it_is_up)
{
	struct fixture f;
	struct pod_vm_place first, second;

	start(&f);
	second = join(&f, "second");
	is_str(second.disk, "/dev/vda"); /* one disk an image, whoever runs it */
	is_str(second.upper, "/dev/vdc");
	ok(second.pid > 0 && is_silent(second.fd));
	greet(f.guest, build_id());
	has_str(get(second.fd), tap_keep(str_fmt("%s 0: ", frame_type_name(FRAME_HELLO))));
	has_str(get(f.guest), frame_type_name(FRAME_HELLO)); /* which is answered */
	/* Who comes later hears it at once. */
	first = join(&f, "first");
	is_str(first.disk, "/dev/vda");
	is_str(first.upper, "/dev/vdb");
	has_str(get(first.fd), frame_type_name(FRAME_HELLO));
	pod_vm_place_done(&first);
	pod_vm_place_done(&second);
	kill((pid_t)first.pid, SIGKILL); /* it would be asked to write its disks out */
	end(&f);
}

TEST(frames_are_moved_to_the_containers_slot_and_back)
{
	struct fixture f;
	int first, second;

	start(&f);
	first = joined(&f, "first");
	second = joined(&f, "second");
	greet(f.guest, build_id());
	get(f.guest);
	get(first);
	get(second);
	PUT(second, FRAME_EXEC, 3, "{}");
	is_str(get(f.guest), tap_keep(str_fmt("%s %d: {}", frame_type_name(FRAME_EXEC), SLOT_2 | 3)));
	PUT(first, FRAME_EXEC, 3, "{}");
	is_str(get(f.guest), tap_keep(str_fmt("%s 3: {}", frame_type_name(FRAME_EXEC))));
	PUT(f.guest, FRAME_STDOUT, SLOT_2 | 3, "hers");
	is_str(get(second), tap_keep(str_fmt("%s 3: hers", frame_type_name(FRAME_STDOUT))));
	PUT(f.guest, FRAME_STDOUT, 3, "his");
	is_str(get(first), tap_keep(str_fmt("%s 3: his", frame_type_name(FRAME_STDOUT))));
	ok(is_silent(first) && is_silent(second));
	/* The machine is nobody's alone: it is not switched off by one. */
	PUT(first, FRAME_SHUTDOWN, 0, "");
	PUT(first, FRAME_STATS, 1, "");
	is_str(get(f.guest), tap_keep(str_fmt("%s 1: ", frame_type_name(FRAME_STATS))));
	/* A channel beyond one's own slot would be another's. */
	PUT(first, FRAME_STATS, SLOT_2, "");
	PUT(second, FRAME_STATS, 2, "");
	is_str(get(f.guest), tap_keep(str_fmt("%s %d: ", frame_type_name(FRAME_STATS), SLOT_2 | 2)));
	is_str(get(first), "end");
	end(&f);
}

TEST(strangers_are_refused)
{
	struct fixture f;
	int fd;

	start(&f);
	is_int(refused(&f, "third", "without this container's disk: stop the pod first"), -EBUSY);
	joined(&f, "first");
	is_int(refused(&f, "first", "has not ended yet"), -EBUSY);
	fd = sock_unix_connect(f.cfg.rundirfd, POD_VM_SOCKET);
	ok(fd >= 0);
	PUT(fd, FRAME_EXEC, 0, "{}");
	has_str(get(fd), "says first whose it is");
	is_str(get(fd), "end");
	close(fd);
	fd = sock_unix_connect(f.cfg.rundirfd, POD_VM_SOCKET);
	ok(fd >= 0 && write(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8) == 8);
	is_str(get(fd), "end");
	close(fd);
	end(&f);
}

TEST(a_container_whose_monitor_goes_is_killed_and_comes_again_only_when_it_has_ended)
{
	struct fixture f;
	uint8_t status[9] = { 0 };
	int first, second;

	start(&f);
	first = joined(&f, "first");
	second = joined(&f, "second");
	greet(f.guest, build_id());
	get(f.guest);
	PUT(second, FRAME_START, 0, "{}");
	has_str(get(f.guest), frame_type_name(FRAME_START));
	close(second);
	has_str(get(f.guest), tap_keep(str_fmt("%s %d: \t", frame_type_name(FRAME_SIGNAL), SLOT_2))); /* 9 */
	is_int(refused(&f, "second", "has not ended yet"), -EBUSY);
	put(f.guest, FRAME_EXIT, SLOT_2, status, sizeof(status));
	for (int i = 0; i < 2000; i++) { /* until the holder has read it */
		struct pod_vm_place p;
		int r = pod_vm_join(&f.paths, POD, "second", &p, &f.e);
		if (r == 0) {
			pod_vm_place_done(&p);
			close(p.fd);
			break;
		}
		ok(r == -EBUSY && i < 1999);
		usleep(10000);
	}
	close(first);
	/* The last one has left: disks are written out, and it ends by itself. */
	is_str(get(f.guest), tap_keep(str_fmt("%s 0: ", frame_type_name(FRAME_SHUTDOWN))));
	close(f.guest);
	f.guest = -1;
	ended_well(&f);
}

TEST(a_guest_of_another_build_is_lost_and_all_are_told)
{
	struct fixture f;
	int first, second;

	start(&f);
	first = joined(&f, "first");
	second = joined(&f, "second");
	greet(f.guest, "another");
	has_str(get(first), "berth-init of another build");
	has_str(get(second), tap_keep(str_fmt("%s %d: ", frame_type_name(FRAME_ERROR), POD_VM_LOST)));
	is_str(get(first), "end");
	ended_well(&f);
}

TEST(a_guest_that_speaks_of_nobodys_container_is_lost)
{
	struct fixture f;
	int first;

	start(&f);
	first = joined(&f, "first");
	greet(f.guest, build_id());
	get(first);
	PUT(f.guest, FRAME_STDOUT, 2 << GUEST_SLOT_SHIFT, "x");
	has_str(get(first), "a container that does not exist");
	ended_well(&f);
}

TEST(more_disks_than_there_is_room_for_are_refused_before_anything_starts)
{
	struct pod_vm_member many[POD_VM_DISKS_MAX];
	struct fixture f;
	int ready[2];
	char byte;

	setup(&f);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		many[i] = f.members[0];
		many[i].upper_disk = tap_keep(str_fmt("/nowhere/%zu", i));
	}
	f.cfg.members = many;
	f.cfg.n_members = ARRAY_SIZE(many); /* so many, and the image's */
	ok(pipe2(ready, O_CLOEXEC | O_NONBLOCK) == 0);
	f.cfg.ready_fd = ready[1];
	is_int(pod_vm_run(&f.cfg, &f.e), -E2BIG);
	has_str(f.e.msg, "room for 18 disks");
	ok(read(ready[0], &byte, 1) < 0 && errno == EAGAIN);
	ok(faccessat(f.cfg.rundirfd, POD_VM_SOCKET, F_OK, 0) < 0);
	done(&f);
}

/* ---- the monitor's side, before a holder that this test is ---- */

static int listening;

static void answer(struct fixture *f, const void *bytes, size_t n)
{
	pid_t pid;

	setup(f);
	listening = sock_unix_listen(f->cfg.rundirfd, POD_VM_SOCKET, 0600);
	ok(listening >= 0);
	pid = fork();
	if (pid == 0) {
		int fd = accept(listening, NULL, NULL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		has_str(get(fd), "{\"id\":\"first\"}");
		_exit(n && write(fd, bytes, n) != (ssize_t)n);
	}
	ok(pid > 0);
}

static void answered(struct fixture *f)
{
	int status;

	ok(wait(&status) > 0);
	is_int(status, 0);
	close(listening);
	ok(unlinkat(f->cfg.rundirfd, POD_VM_SOCKET, 0) == 0);
	done(f);
}

TEST(what_follows_the_answer_is_left_for_whom_it_is_for)
{
	static const char ok_json[] = "{\"disk\":\"/dev/vda\",\"upper\":\"/dev/vdb\",\"vmm\":\"qemu\",\"pid\":7}";
	_cleanup_buf_ struct buf b = { 0 };
	struct fixture f;
	int fd;

	frame_put(&b, FRAME_OK, 0, ok_json, sizeof(ok_json) - 1);
	frame_put(&b, FRAME_HELLO, 0, "more", 4);
	answer(&f, b.data, b.len);
	fd = joined(&f, "first");
	has_str(get(fd), ": more");
	close(fd);
	answered(&f);
}

TEST(holders_that_answer_wrongly_are_errors)
{
	static const struct {
		enum frame_type type; /* 0: no frame at all */
		const char *text, *says;
	} rows[] = {
		{ 0, "", "has just ended: try again" },
		{ 0, "\xff\xff\xff\xff\xff\xff\xff\xff", "what is no frame" },
		{ FRAME_STDOUT, "x", "did not answer as it should" },
		{ FRAME_ERROR, "x", "false error" },
		{ FRAME_OK, "x", "answer of the pod's machine" },
		{ FRAME_OK, "{\"disk\":\"/dev/vda\",\"upper\":\"/dev/vdb\",\"vmm\":\"qemu\"}", "pid" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_buf_ struct buf b = { 0 };
		struct fixture f;

		if (rows[i].type)
			frame_put(&b, rows[i].type, 0, rows[i].text, (uint32_t)strlen(rows[i].text));
		else
			buf_str(&b, rows[i].text);
		answer(&f, b.data, b.len);
		refused(&f, "first", rows[i].says);
		answered(&f);
	}
}

TEST(without_a_holder_or_its_program_the_error_names_the_program)
{
	struct fixture f;

	setup(&f);
	is_int(refused(&f, "first", "berth-monitor is missing"), -ENOENT);
	done(&f);
}

TAP_MAIN()
