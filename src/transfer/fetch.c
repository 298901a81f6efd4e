#include "fetch.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine.h"

#define CONNECT_S     30L
#define STALL_S       60L
#define REDIRECTS_MAX 5L

bool fetch_is_address(const char *s) { return str_after(s, "http://") || str_after(s, "https://"); }

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	const int *fd = arg;

	return fd_write_full(*fd, p, size * n) < 0 ? 0 : size * n; /* fewer: curl ends with CURLE_WRITE_ERROR */
}

static int set_up(CURL *c, const char *url, int *fd, char text[CURL_ERROR_SIZE])
{
	/* Once encrypted, never in the clear again. */
	const char *next = str_after(url, "https://") ? "https" : "http,https";
	CURLcode r = curl_easy_setopt(c, CURLOPT_URL, url);

	r = r ? r : curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	r = r ? r : curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, next);
	r = r ? r : curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	r = r ? r : curl_easy_setopt(c, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
	r = r ? r : curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
	r = r ? r : curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	r = r ? r : curl_easy_setopt(c, CURLOPT_USERAGENT, "berth");
	r = r ? r : curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	r = r ? r : curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	r = r ? r : curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	r = r ? r : curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, STALL_S);
	r = r ? r : curl_easy_setopt(c, CURLOPT_ERRORBUFFER, text);
	r = r ? r : curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	r = r ? r : curl_easy_setopt(c, CURLOPT_WRITEDATA, fd);
	return r ? -EINVAL : 0;
}

static int fetch(const char *url, int fd, struct err *e)
{
	char text[CURL_ERROR_SIZE] = "";
	CURL *c = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
	CURLcode code;
	int r;

	if (!c || set_up(c, url, &fd, text) < 0) {
		curl_easy_cleanup(c);
		return err_set(e, ENOMEM, "%s: libcurl can't be set up: %s", url, text);
	}
	code = curl_easy_perform(c);
	r = code == CURLE_OK            ? 0
	    : code == CURLE_WRITE_ERROR ? err_set(e, EPIPE, "%s: nobody reads it", url)
					: err_set(e, EIO, "%s: %s", url, *text ? text : curl_easy_strerror(code));
	curl_easy_cleanup(c);
	return r;
}

_noreturn_ static void child_main(const char *url, int rootfd, int fd, int reportfd)
{
	const char *const readable[] = { getenv("SSL_CERT_FILE"), getenv("SSL_CERT_DIR"), NULL };
	struct err e = { 0 };
	int r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? err_set(&e, errno, "prctl: %s", strerror(errno))
						     : confine_transfer(rootfd, readable[0] ? readable : readable + 1, &e);

	if (r == 0)
		r = fetch(url, fd, &e);
	if (r < 0 && !e.no)
		err_set(&e, -r, "failed without saying why");
	/* A report that can't be written is told by its absence. */
	_exit(fd_write_full(reportfd, &e, sizeof(e)) < 0 || e.no);
}

int fetch_start(const char *url, int rootfd, struct fetch *ret, struct err *e)
{
	int bytes[2], report[2];

	if (pipe2(bytes, O_CLOEXEC) < 0)
		return err_set(e, errno, "make a pipe: %s", strerror(errno));
	if (pipe2(report, O_CLOEXEC) < 0) {
		int no = errno;
		fd_close(bytes[0]);
		fd_close(bytes[1]);
		return err_set(e, no, "make a pipe: %s", strerror(no));
	}
	pid_t pid = fork();
	if (pid == 0) {
		fd_close(bytes[0]);
		fd_close(report[0]);
		child_main(url, rootfd, bytes[1], report[1]);
	}
	int no = errno;
	fd_close(bytes[1]);
	fd_close(report[1]);
	*ret = (struct fetch){ .fd = bytes[0], .reportfd = report[0], .pid = pid };
	if (pid > 0)
		return 0;
	fd_close(bytes[0]);
	fd_close(report[0]);
	return err_set(e, no, "fork: %s", strerror(no));
}

int fetch_end(struct fetch *f, int r, struct err *e)
{
	struct err said = { 0 };
	ssize_t n = fd_read_full(f->reportfd, &said, sizeof(said));
	int status;

	f->reportfd = fd_close(f->reportfd);
	spawn_wait(f->pid, &status);
	if (n != (ssize_t)sizeof(said))
		return r < 0 ? r : err_set(e, EIO, "the process that fetches was killed");
	if (said.no && !(said.no == EPIPE && r < 0)) {
		*e = said;
		return -said.no;
	}
	return r;
}
