/* --ready: how it is written, and when it is answered. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure_impl.h"
#include "tap.h"

TEST(each_kind_is_read)
{
	struct ready r;
	struct err e;

	is_int(ready_parse(NULL, &r, &e), 0);
	is_int(r.kind, READY_NONE);
	is_int(ready_parse("tcp:80", &r, &e), 0);
	is_int(r.kind, READY_TCP);
	is_int(r.port, 80);
	is_int(ready_parse("http://localhost:8080/a/b?c", &r, &e), 0);
	is_int(r.kind, READY_HTTP);
	is_int(r.port, 8080);
	is_str(r.rest, "/a/b?c");
	is_int(ready_parse("http://localhost", &r, &e), 0);
	is_int(r.port, 80);
	is_str(r.rest, "/");
	is_int(ready_parse("http://x/y:9", &r, &e), 0);
	is_int(r.port, 80);
	is_str(r.rest, "/y:9");
	is_int(ready_parse("log:up and running", &r, &e), 0);
	is_int(r.kind, READY_LOG);
	is_str(r.rest, "up and running");
}

TEST(anything_else_is_refused_with_what_there_is)
{
	static const char *const wrong[] = { "",           "80",          "tcp:",           "tcp:0",
					     "tcp:65536",  "tcp:1x",      "log:",           "https://localhost/",
					     "http://h:/", "http://h:0/", "http://h:99999/" };
	struct ready r;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct err e = { 0 };

		is_int(ready_parse(wrong[i], &r, &e), -EINVAL);
		has_str(e.msg, "tcp:PORT");
	}
}

/* Listens at 127.0.0.1; what it says to the first who comes, or nothing. */
struct server {
	int fd;
	unsigned port;
	const char *says;
};

static void *serve(void *arg)
{
	struct server *s = arg;
	char asked[256];
	int fd = accept(s->fd, NULL, NULL);

	if (fd >= 0 && read(fd, asked, sizeof(asked)) > 0)
		(void)fd_write_full(fd, s->says, strlen(s->says));
	close(fd);
	return NULL;
}

static void listen_at(struct server *s)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	ok(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&at, len) == 0 && listen(s->fd, 4) == 0 &&
	   getsockname(s->fd, (struct sockaddr *)&at, &len) == 0);
	s->port = ntohs(at.sin_port);
}

static bool asked_over_http(const char *says)
{
	struct server s = { .says = says };
	pthread_t t;

	listen_at(&s);
	pthread_create(&t, NULL, serve, &s);
	const struct ready r = { .kind = READY_HTTP, .at = s.port, .rest = "/" };
	bool is = ready_ask(&r, NULL);
	pthread_join(t, NULL);
	close(s.fd);
	return is;
}

TEST(a_port_that_nobody_has_is_not_ready_and_one_that_somebody_has_is)
{
	struct server s = { 0 };
	struct ready r = { .kind = READY_TCP };

	listen_at(&s);
	r.at = s.port;
	ok(ready_ask(&r, NULL));
	close(s.fd);
	ok(!ready_ask(&r, NULL));
}

TEST(a_page_is_an_answer_whatever_its_status_and_other_words_are_none)
{
	ok(asked_over_http("HTTP/1.1 404 Not Found\r\n\r\n"));
	ok(!asked_over_http("SSH-2.0-x\r\n"));
	ok(!asked_over_http(""));
}

TEST(a_log_is_asked_on_both_streams)
{
	struct run run = { 0 };
	const struct ready r = { .kind = READY_LOG, .rest = "up" };

	ok(!ready_ask(&r, &run));
	buf_str(&run.complained, "it is up\n");
	ok(ready_ask(&r, &run));
	buf_done(&run.complained);
	buf_str(&run.said, "and up it is");
	ok(ready_ask(&r, &run));
	buf_done(&run.said);
}

TAP_MAIN()
