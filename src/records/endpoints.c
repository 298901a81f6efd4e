/* Records of endpoints: who is on which network, with which addresses. An address belongs to its endpoint from the transaction that
 * inserts the row to the one that deletes it, so there is nothing to give back after a crash, and two processes can't be given the
 * same one: each chooses inside of its own transaction, and the table's constraints stand behind that.
 *
 * Of a pool the next address behind the one given last is given (networks.last4, last6), so that one that has just become free rests
 * as long as the pool allows: neighbours' caches still know who had it. */
#include "records_db.h"

void endpoint_record_done(struct endpoint_record *p)
{
	free(p->id);
	free(p->container_id);
	free(p->network_id);
	free(p->mac);
	free(p->options_json);
	free(p->network_name);
	free(p->container_name);
	*p = (struct endpoint_record){ 0 };
}

void endpoint_records_free(struct endpoint_record *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		endpoint_record_done(&list[i]);
	free(list);
}

static const struct family {
	const char *name, *taken, *cursor, *set_cursor, *holder;
} families[] = {
	{ "IPv4", "SELECT address4 FROM endpoints WHERE network_id=?1 AND address4 BETWEEN ?2 AND ?3 ORDER BY address4",
	  "SELECT last4 FROM networks WHERE id=?1", "UPDATE networks SET last4=?2 WHERE id=?1",
	  "SELECT coalesce(c.name, p.name, e.container_id) FROM endpoints e LEFT JOIN containers c ON c.id=e.container_id"
	  " LEFT JOIN pods p ON p.id=e.container_id WHERE e.network_id=?1 AND e.address4=?2" },
	{ "IPv6", "SELECT address6 FROM endpoints WHERE network_id=?1 AND address6 BETWEEN ?2 AND ?3 ORDER BY address6",
	  "SELECT last6 FROM networks WHERE id=?1", "UPDATE networks SET last6=?2 WHERE id=?1",
	  "SELECT coalesce(c.name, p.name, e.container_id) FROM endpoints e LEFT JOIN containers c ON c.id=e.container_id"
	  " LEFT JOIN pods p ON p.id=e.container_id WHERE e.network_id=?1 AND e.address6=?2" },
};

static const char *hex(const uint8_t address[16], char ret[ADDRESS_HEX]) { return str_hex(address, 16, ret); }

/* Of a column's text. 1, 0 where it is NULL, or -EUCLEAN. */
static int db_address(sqlite3_stmt *s, int column, uint8_t ret[16], struct err *e)
{
	const char *text = (const char *)sqlite3_column_text(s, column);
	uint8_t a[16];

	if (!text)
		return 0;
	if (strlen(text) != 2 * sizeof(a) || text[strspn(text, "0123456789abcdef")])
		return err_set(e, EUCLEAN, "records: \"%.40s\" is no address: an endpoint's record is damaged", text);
	for (size_t i = 0; i < sizeof(a); i++) {
		const char two[] = { text[2 * i], text[2 * i + 1], '\0' };
		a[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	memcpy(ret, a, sizeof(a));
	return 1;
}

/* False: there is none behind it. */
static bool next(uint8_t address[16])
{
	for (int i = 15; i >= 0; i--)
		if (++address[i])
			return true;
	return false;
}

static bool is_excluded(const struct endpoint_request *q, const uint8_t address[16])
{
	for (size_t i = 0; i < q->n_excluded; i++)
		if (memcmp(q->excluded[i], address, 16) == 0)
			return true;
	return false;
}

/* The lowest from first to last that is neither taken nor excluded. 1, 0: there is none, or -errno. */
static int find_free(struct records *r, const struct endpoint_request *q, const struct family *f, const uint8_t first[16],
		     const uint8_t last[16], uint8_t ret[16], struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	char from[ADDRESS_HEX], to[ADDRESS_HEX];
	uint8_t at[16], taken[16];
	int k = db_query(r, &s, e, f->taken, "ttt", q->record.network_id, hex(first, from), hex(last, to));
	bool has_taken = true;

	memcpy(at, first, sizeof(at));
	memset(taken, 0, sizeof(taken));
	while (k >= 0 && memcmp(at, last, sizeof(at)) <= 0) {
		while (k >= 0 && has_taken && memcmp(taken, at, sizeof(at)) < 0) {
			k = db_step(r, s, "look for a free address", e);
			has_taken = k == 1;
			if (has_taken)
				k = db_address(s, 0, taken, e);
		}
		if (k >= 0 && !is_excluded(q, at) && !(has_taken && memcmp(taken, at, sizeof(at)) == 0)) {
			memcpy(ret, at, sizeof(at));
			return 1;
		}
		if (!next(at))
			break;
	}
	return MIN(k, 0);
}

static int read_cursor(struct records *r, const char *network_id, const struct family *f, uint8_t ret[16], struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, f->cursor, "t", network_id);

	if (k == 0)
		k = db_step(r, s, "look a network up", e);
	return k <= 0 ? k : db_address(s, 0, ret, e);
}

/* From behind the cursor to the pool's end, then from its beginning. */
static int choose(struct records *r, const struct endpoint_request *q, const struct family *f, const struct net_range *pool,
		  uint8_t ret[16], struct err *e)
{
	uint8_t cursor[16];
	char text[ADDRESS_HEX];
	int k = read_cursor(r, q->record.network_id, f, cursor, e);
	bool has_cursor = k == 1 && memcmp(cursor, pool->first, 16) >= 0 && memcmp(cursor, pool->last, 16) < 0 && next(cursor);

	if (k >= 0)
		k = find_free(r, q, f, has_cursor ? cursor : pool->first, pool->last, ret, e);
	if (k == 0 && has_cursor)
		k = find_free(r, q, f, pool->first, cursor, ret, e);
	if (k == 0)
		return err_set(e, ENOSPC, "no available %s addresses on this network's address pools: %s (%.12s)", f->name,
			       q->record.network_name, q->record.network_id);
	return k < 0 ? k : db_run(r, "note the last address", e, f->set_cursor, "tt", q->record.network_id, hex(ret, text));
}

/* An address that is asked for. */
static int check_free(struct records *r, const struct endpoint_request *q, const struct family *f, const uint8_t address[16],
		      struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	char text[ADDRESS_HEX];
	int k = db_query(r, &s, e, f->holder, "tt", q->record.network_id, hex(address, text));

	if (k == 0)
		k = db_step(r, s, "look for an address's holder", e);
	return k <= 0 ? k
		      : err_set(e, EADDRINUSE, "Address already in use: %s has it on network %s",
				(const char *)sqlite3_column_text(s, 0), q->record.network_name);
}

static int take_addresses(struct records *r, struct endpoint_request *q, struct err *e)
{
	struct endpoint_record *p = &q->record;
	int k = 0;

	if (p->has_address4)
		k = check_free(r, q, &families[0], p->address4, e);
	else if (q->has_pool4)
		k = choose(r, q, &families[0], &q->pool4, p->address4, e);
	if (k == 0 && p->has_address6)
		k = check_free(r, q, &families[1], p->address6, e);
	else if (k == 0 && q->has_pool6)
		k = choose(r, q, &families[1], &q->pool6, p->address6, e);
	if (k < 0)
		return k;
	p->has_address4 |= q->has_pool4;
	p->has_address6 |= q->has_pool6;
	return 0;
}

/* Whether both are there, and not together yet; fills in the names, and whether the container is up. */
static int look_up(struct records *r, const char *container_id, struct endpoint_record *p, bool *ret_up, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(
		r, &s, e,
		"SELECT n.name, coalesce(c.name, d.name), c.state, EXISTS(SELECT 1 FROM endpoints e WHERE e.container_id=i.id AND"
		" e.network_id=?1) FROM (SELECT ?2 AS id) i LEFT JOIN networks n ON n.id=?1 LEFT JOIN containers c ON c.id=i.id"
		" LEFT JOIN pods d ON d.id=i.id",
		"tt", p->network_id, container_id);
	char **const columns[] = { &p->network_name, &p->container_name };

	if (k < 0 || (k = db_step(r, s, "look a network up", e)) < 0)
		return k;
	for (int i = 0; i < (int)ARRAY_SIZE(columns); i++) {
		free_ptr(columns[i]);
		if (db_text(s, i, columns[i]) < 0)
			return err_set(e, ENOMEM, "records: out of memory");
	}
	if (!p->network_name)
		return err_set(e, ENOENT, "network %.12s not found (it was removed meanwhile)", p->network_id);
	if (!p->container_name)
		return err_set(e, ENOENT, "no such container: %.12s", container_id);
	if (sqlite3_column_int(s, 3))
		return err_set(e, EEXIST, "endpoint with name %s already exists in network %s", p->container_name,
			       p->network_name);
	*ret_up = sqlite3_column_type(s, 2) == SQLITE_INTEGER && container_is_up((enum container_state)sqlite3_column_int(s, 2));
	return 0;
}

/* The lowest that the container's endpoints leave. */
static int choose_ordinal(struct records *r, const char *container_id, uint32_t *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	uint32_t n = 0;
	int k = db_query(r, &s, e, "SELECT ordinal FROM endpoints WHERE container_id=?1 ORDER BY ordinal", "t", container_id);

	while (k >= 0 && (k = db_step(r, s, "look for a container's networks", e)) == 1 &&
	       (uint32_t)sqlite3_column_int64(s, 0) == n)
		n++;
	*ret = n;
	return MIN(k, 0);
}

static int one_event(struct records *r, const char *container_id, const char *network_id, const char *action, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, "SELECT json_object('container', ?2, 'name', name, 'type', driver) FROM networks WHERE id=?1",
			 "tt", network_id, container_id);

	if (k == 0)
		k = db_step(r, s, "look a network up", e);
	return k <= 0 ? k : event_put(r, "network", action, network_id, (const char *)sqlite3_column_text(s, 0), e);
}

/* In a transaction. */
static int put_row(struct records *r, const char *container_id, struct endpoint_request *q, struct err *e)
{
	struct endpoint_record *p = &q->record;
	char four[ADDRESS_HEX], six[ADDRESS_HEX];
	bool is_up = false;
	int k = look_up(r, container_id, p, &is_up, e);

	if (k == 0)
		k = choose_ordinal(r, container_id, &p->ordinal, e);
	if (k == 0)
		k = take_addresses(r, q, e);
	if (k == 0)
		k = db_run(r, "record an endpoint", e,
			   "INSERT INTO endpoints(id, container_id, network_id, mac, options_json, ordinal, address4, address6)"
			   " VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
			   "tttttitt", p->id, container_id, p->network_id, p->mac, p->options_json, (int64_t)p->ordinal,
			   p->has_address4 ? hex(p->address4, four) : NULL, p->has_address6 ? hex(p->address6, six) : NULL);
	if (k == 0 && is_up)
		k = one_event(r, container_id, p->network_id, "connect", e);
	return k;
}

int endpoints_put(struct records *r, const char *container_id, struct endpoint_request *list, size_t n, struct err *e)
{
	int k = 0;

	for (size_t i = 0; i < n && k == 0; i++)
		k = put_row(r, container_id, &list[i], e);
	return k;
}

int records_endpoint_put(struct records *r, struct endpoint_request *q, struct err *e)
{
	int k = db_begin(r, true, e);

	if (k < 0)
		return k;
	k = put_row(r, q->record.container_id, q, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int endpoints_delete(struct records *r, const char *container_id, struct err *e)
{
	return db_run(r, "forget a container's networks", e, "DELETE FROM endpoints WHERE container_id=?1", "t", container_id);
}

int records_endpoint_delete(struct records *r, const char *network_id, const char *container_id, struct err *e)
{
	int k = db_begin(r, true, e);

	if (k < 0)
		return k;
	k = db_run(r, "forget an endpoint", e, "DELETE FROM endpoints WHERE network_id=?1 AND container_id=?2", "tt", network_id,
		   container_id);
	if (k == 0 && sqlite3_changes(r->db) == 0)
		k = err_set(e, ENOENT, "container %.12s is not connected to network %.12s", container_id, network_id);
	if (k == 0)
		k = one_event(r, container_id, network_id, "disconnect", e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int records_endpoint_options(struct records *r, const char *id, const char *options_json, struct err *e)
{
	int k = db_begin(r, false, e);

	if (k < 0)
		return k;
	k = db_run(r, "note what an endpoint was given", e, "UPDATE endpoints SET options_json=?2 WHERE id=?1", "tt", id,
		   options_json);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

#define ENDPOINT_READ                                                                                                     \
	"SELECT e.id, e.container_id, e.network_id, e.mac, e.options_json, n.name, coalesce(c.name, d.name), e.ordinal, " \
	"e.address4,"                                                                                                     \
	" e.address6 FROM endpoints e LEFT JOIN networks n ON n.id=e.network_id"                                          \
	" LEFT JOIN containers c ON c.id=e.container_id LEFT JOIN pods d ON d.id=e.container_id "
enum { COLUMN_ORDINAL = 7, COLUMN_ADDRESS4, COLUMN_ADDRESS6 };

static int read_endpoint_row(sqlite3_stmt *s, void *ret, struct err *e)
{
	struct endpoint_record p = { .ordinal = (uint32_t)sqlite3_column_int64(s, COLUMN_ORDINAL) };
	char **const texts[] = { &p.id,           &p.container_id, &p.network_id,    &p.mac,
				 &p.options_json, &p.network_name, &p.container_name };
	int k = 0, six = 0;

	for (int i = 0; i < (int)ARRAY_SIZE(texts) && k == 0; i++)
		if (db_text(s, i, texts[i]) < 0)
			k = err_set(e, ENOMEM, "records: out of memory");
	if (k == 0)
		k = db_address(s, COLUMN_ADDRESS4, p.address4, e);
	if (k >= 0)
		six = db_address(s, COLUMN_ADDRESS6, p.address6, e);
	if (k < 0 || six < 0) {
		endpoint_record_done(&p);
		return MIN(k, six);
	}
	p.has_address4 = k;
	p.has_address6 = six;
	*(struct endpoint_record *)ret = p;
	return 0;
}
static void endpoint_row_done(void *row) { endpoint_record_done(row); }
static const struct db_row endpoint_row = { sizeof(struct endpoint_record), read_endpoint_row, endpoint_row_done };

int records_endpoints(struct records *r, const char *container_id, const char *network_id, struct endpoint_record **ret,
		      size_t *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	void *list = NULL;
	int k;

	if (container_id)
		k = db_query(r, &s, e,
			     ENDPOINT_READ "WHERE e.container_id=?1 AND (?2 IS NULL OR e.network_id=?2) ORDER BY e.ordinal", "tt",
			     container_id, network_id);
	else
		k = db_query(r, &s, e, ENDPOINT_READ "WHERE e.network_id=?1 ORDER BY 7, e.id", "t", network_id);
	if (k >= 0)
		k = db_list(r, s, "look for endpoints", &endpoint_row, &list, ret_n, e);
	if (k >= 0)
		*ret = list;
	return k;
}

int endpoints_event(struct records *r, const char *container_id, const char *action, struct err *e)
{
	struct endpoint_record *list = NULL;
	size_t n = 0;
	int k = records_endpoints(r, container_id, NULL, &list, &n, e);

	if (k < 0)
		return k;
	for (size_t i = 0; i < n && k >= 0; i++)
		k = one_event(r, container_id, list[i].network_id, action, e);
	endpoint_records_free(list, n);
	return MIN(k, 0);
}
