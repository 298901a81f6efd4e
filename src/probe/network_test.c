/* The server and the client of each other, and each of them with somebody who does not keep to the protocol. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "probe_network.h"
#include "tap.h"

#define TIMEOUT_MS 5000

static int listen_any(uint16_t *port)
{
	int fd = network_listen(0, port);

	ok(fd >= 0);
	return fd;
}

/* One client is answered in a process of its own, whose result is its exit status. */
static pid_t serve_one(int listening)
{
	pid_t pid = fork();

	ok(pid >= 0);
	if (pid == 0) {
		int fd = accept(listening, NULL, NULL);
		signal(SIGPIPE, SIG_IGN);
		_exit(fd < 0 ? 99 : -network_answer(fd));
	}
	return pid;
}

static int status_of(pid_t pid)
{
	int status;

	is_int(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(bytes_come_back_in_a_time_that_is_told)
{
	struct network_peer p = { "127.0.0.1", 0, TIMEOUT_MS };
	double us[8] = { 0 };
	pid_t pid = serve_one(listen_any(&p.port));

	is_int(network_latency_us(&p, us, 8, NULL), 0);
	for (size_t i = 0; i < 8; i++)
		ok(us[i] > 0);
	is_int(status_of(pid), 0);
}

TEST(both_directions_have_a_throughput)
{
	for (int towards = 0; towards < 2; towards++) {
		struct network_peer p = { "127.0.0.1", 0, TIMEOUT_MS };
		double mb_s = 0;
		pid_t pid = serve_one(listen_any(&p.port));

		is_int(network_mb_s(&p, towards, 50, &mb_s, NULL), 0);
		ok(mb_s > 0);
		is_int(status_of(pid), 0);
	}
}

TEST(ipv6_is_served_where_the_host_has_it)
{
	struct network_peer p = { "::1", 0, TIMEOUT_MS };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	double us;
	pid_t pid;

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		skip("no IPv6");
	pid = serve_one(listen_any(&p.port));
	is_int(network_latency_us(&p, &us, 1, NULL), 0);
	is_int(status_of(pid), 0);
}

TEST(a_port_that_nobody_listens_on_is_named)
{
	struct network_peer p = { "127.0.0.1", 0, TIMEOUT_MS };
	struct err e = { 0 };
	double us;

	close(listen_any(&p.port));
	is_int(network_latency_us(&p, &us, 1, &e), -ECONNREFUSED);
	has_str(e.msg, "127.0.0.1 port");
}

TEST(an_address_that_is_none_is_refused)
{
	struct network_peer p = { "localhost", 1, TIMEOUT_MS };
	struct err e = { 0 };
	double us;

	is_int(network_latency_us(&p, &us, 1, &e), -EINVAL);
	has_str(e.msg, "localhost");
}

TEST(a_server_that_stays_silent_is_not_waited_for)
{
	struct network_peer p = { "127.0.0.1", 0, 50 };
	struct err e = { 0 };
	double v;

	tap_keep((void *)(intptr_t)listen_any(&p.port)); /* the kernel takes the connection, and nobody answers */
	is_int(network_latency_us(&p, &v, 1, &e), -ETIMEDOUT);
	has_str(e.msg, "50 ms");
	is_int(network_mb_s(&p, false, 1000, &v, &e), -ETIMEDOUT);
}

TEST(a_server_that_sends_other_bytes_back_is_not_believed)
{
	struct network_peer p = { "127.0.0.1", 0, TIMEOUT_MS };
	int listening = listen_any(&p.port);
	struct err e = { 0 };
	double us[2];
	pid_t pid = fork();

	if (pid == 0) {
		int fd = accept(listening, NULL, NULL);
		_exit(write(fd, "xyz", 3) == 3 && read(fd, us, sizeof(us)) > 0 ? 0 : 1);
	}
	is_int(network_latency_us(&p, us, 2, &e), -EPROTO);
	ok(status_of(pid) >= 0);
}

TEST(an_unknown_wish_ends_the_connection)
{
	uint16_t port;
	int listening = listen_any(&port), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	pid_t pid = serve_one(listening);
	char c;

	ok(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	is_int(write(fd, "?", 1), 1);
	is_int(read(fd, &c, 1), 0);
	is_int(status_of(pid), EPROTO);
}

TAP_MAIN()
