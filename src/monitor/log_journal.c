/* Writing to the journal by its native protocol (systemd's docs/JOURNAL_NATIVE_PROTOCOL.md): one datagram an entry, "FIELD=value\n"
 * a field; a value with a newline in it, or of bytes that could be one, as "FIELD\n", its length as 64 bits, little-endian, the bytes and "\n". */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log_file.h"
#include "log_journal.h"

#define PRIORITY_OUT "6" /* info; as docker has it */
#define PRIORITY_ERR "3" /* err */

struct log_journal {
	int fd;
	char *fields; /* of every entry */
	struct buf part[2];
	bool told;
};

/* Names can't hold a newline, references neither; what does is not worth a broken entry. */
static void add_field(struct buf *b, const char *name, const char *value)
{
	if (value && !strchr(value, '\n'))
		buf_fmt(b, "%s=%s\n", name, value);
}

int log_journal_open(const char *id, const char *name, const char *image, struct log_journal **ret, struct err *e)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };
	_cleanup_buf_ struct buf b = { 0 };
	struct log_journal *l = calloc(1, sizeof(*l));
	char brief[13] = "";

	if (!l)
		return err_set(e, ENOMEM, "out of memory");
	memcpy(brief, id, MIN(strlen(id), sizeof(brief) - 1));
	add_field(&b, "CONTAINER_ID", brief);
	add_field(&b, "CONTAINER_ID_FULL", id);
	add_field(&b, "CONTAINER_NAME", name);
	add_field(&b, "CONTAINER_TAG", brief);
	add_field(&b, "SYSLOG_IDENTIFIER", brief);
	add_field(&b, "IMAGE_NAME", image);
	l->fields = b.failed ? NULL : buf_take(&b);
	l->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (!l->fields) {
		log_journal_close(l);
		return err_set(e, ENOMEM, "out of memory");
	}
	if (l->fd < 0 || connect(l->fd, (const struct sockaddr *)(const void *)&to, sizeof(to)) < 0) {
		err_set(e, errno, "--log-driver journald: %s: %s; systemd-journald has to run, or take json-file", JOURNAL_SOCKET,
			strerror(errno));
		log_journal_close(l);
		return -e->no;
	}
	*ret = l;
	return 0;
}

void log_journal_close(struct log_journal *l)
{
	if (!l)
		return;
	fd_close(l->fd);
	buf_done(&l->part[0]);
	buf_done(&l->part[1]);
	free(l->fields);
	free(l);
}

static void send_entry(struct log_journal *l, int stream, const char *p, size_t n, bool is_part)
{
	_cleanup_buf_ struct buf b = { 0 };
	uint64_t len = n;
	ssize_t r;

	buf_fmt(&b, "PRIORITY=%s\n%s", stream == 2 ? PRIORITY_ERR : PRIORITY_OUT,
		is_part ? "CONTAINER_PARTIAL_MESSAGE=true\n" : "");
	buf_str(&b, l->fields);
	buf_str(&b, "MESSAGE\n");
	for (int i = 0; i < 8; i++, len >>= 8)
		buf_add(&b, &(char){ (char)(len & 0xff) }, 1);
	buf_add(&b, p, n);
	buf_str(&b, "\n");
	r = b.failed ? -1 : send(l->fd, b.data, b.len, MSG_NOSIGNAL);
	if (r < 0 && !l->told)
		log_warn("log", "journal: %s; output is lost from it until it works again",
			 b.failed ? "out of memory" : strerror(errno));
	l->told = r < 0;
}

void log_journal_add(struct log_journal *l, int stream, const char *p, size_t n)
{
	struct buf *part = &l->part[stream == 2];

	while (n > 0) {
		size_t room = LOG_CHUNK - part->len, most = MIN(n, room);
		const char *nl = memchr(p, '\n', most);
		size_t take = nl ? (size_t)(nl - p) : most;

		buf_add(part, p, take);
		if (part->failed) /* told with the next entry that fails */
			buf_done(part);
		else if (nl || part->len == LOG_CHUNK)
			send_entry(l, stream, part->data ? part->data : "", part->len, !nl);
		if (nl || part->len == LOG_CHUNK)
			part->len = 0;
		take += nl != NULL;
		p += take;
		n -= take;
	}
}

void log_journal_end(struct log_journal *l, int stream)
{
	struct buf *part = &l->part[stream == 2];

	if (part->len)
		send_entry(l, stream, part->data, part->len, false);
	part->len = 0;
}
