/* Records of networks. What addresses a network has is said twice: config_json has it as it was asked for, network_ranges has whole
 * ranges, by which two networks that share an address are refused in the transaction that would make the second. A network goes only
 * while nobody is on it (endpoints.c), which is looked at in the transaction of its deletion. */
#include "records_db.h"

void network_record_done(struct network_record *n)
{
	free(n->id);
	free(n->name);
	free(n->driver);
	free(n->config_json);
	map_done(&n->labels);
	*n = (struct network_record){ 0 };
}

void network_records_free(struct network_record *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		network_record_done(&list[i]);
	free(list);
}

#define NETWORK_COLUMNS "id, name, driver, created_ns, config_json, labels_json"
#define NETWORK_READ    NETWORK_COLUMNS ", (SELECT count(*) FROM endpoints p WHERE p.network_id=networks.id)"
enum { COLUMN_CREATED = 3, COLUMN_CONFIG, COLUMN_LABELS, COLUMN_ENDPOINTS, COLUMN_WHOLE };

static int from_row(sqlite3_stmt *s, struct network_record *ret, struct err *e)
{
	struct network_record n = { .created_ns = (uint64_t)sqlite3_column_int64(s, COLUMN_CREATED),
				    .n_endpoints = (uint64_t)sqlite3_column_int64(s, COLUMN_ENDPOINTS) };
	int k = db_text(s, 0, &n.id);

	if (k == 0)
		k = db_text(s, 1, &n.name);
	if (k == 0)
		k = db_text(s, 2, &n.driver);
	if (k == 0)
		k = db_text(s, COLUMN_CONFIG, &n.config_json);
	k = k < 0 ? err_set(e, ENOMEM, "records: out of memory") : db_labels(s, COLUMN_LABELS, &n.labels, e);
	if (k < 0) {
		network_record_done(&n);
		return k;
	}
	*ret = n;
	return 0;
}

/* In a transaction: {"name":..., "type": the driver}, as docker's. 0 also where there is no such network. */
static int network_event(struct records *r, const char *id, const char *action, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, "SELECT json_object('name', name, 'type', driver) FROM networks WHERE id=?1", "t", id);

	if (k < 0 || (k = db_step(r, s, "look a network up", e)) <= 0)
		return k;
	return event_put(r, "network", action, id, (const char *)sqlite3_column_text(s, 0), e);
}

/* In a transaction, of a network whose row is there. */
static int put_range(struct records *r, const struct network_record *n, const struct net_range *range, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	char first[ADDRESS_HEX], last[ADDRESS_HEX];
	int k;

	str_hex(range->first, sizeof(range->first), first);
	str_hex(range->last, sizeof(range->last), last);
	k = db_query(r, &s, e,
		     "SELECT n.name FROM network_ranges g JOIN networks n ON n.id=g.network_id WHERE g.first<=?2 AND g.last>=?1",
		     "tt", first, last);
	if (k == 0)
		k = db_step(r, s, "look for networks with the same addresses", e);
	if (k == 1)
		return err_set(e, EADDRINUSE,
			       "invalid pool request: Pool overlaps with other one on this address space: network %s has some of "
			       "these addresses",
			       (const char *)sqlite3_column_text(s, 0));
	return k < 0 ? k
		     : db_run(r, "record a network's addresses", e,
			      "INSERT INTO network_ranges(network_id, first, last) VALUES(?1,?2,?3)", "ttt", n->id, first, last);
}

static int put_row(struct records *r, const struct network_record *n, struct err *e)
{
	_cleanup_free_ char *labels = NULL;
	int k;

	if (map_text(&n->labels, &labels) < 0)
		return err_set(e, ENOMEM, "records: out of memory");
	k = db_run(r, "record a network", e, "INSERT INTO networks(" NETWORK_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6)", "tttitt",
		   n->id, n->name, n->driver, (int64_t)n->created_ns, n->config_json, labels);
	return k == -EEXIST ? err_set(e, EEXIST, "network with name %s already exists", n->name) : k;
}

int records_network_put(struct records *r, const struct network_record *n, const struct net_range *subnets, size_t n_subnets,
			struct err *e)
{
	int k = db_begin(r, true, e);

	if (k < 0)
		return k;
	k = put_row(r, n, e);
	for (size_t i = 0; i < n_subnets && k == 0; i++)
		k = put_range(r, n, &subnets[i], e);
	if (k == 0)
		k = network_event(r, n->id, "create", e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int records_network_get(struct records *r, const char *name, struct network_record *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	_cleanup_free_ char *high = str_fmt("%sg", name);
	bool may_be_prefix = *name && !name[strspn(name, "0123456789abcdef")];
	struct network_record n;
	int k;

	if (!high)
		return err_set(e, ENOMEM, "records: out of memory");
	/* What is named or is an id, whole, counts before what begins so. */
	k = db_query(r, &s, e,
		     "SELECT " NETWORK_READ ", (id=?1 OR name=?1) AS whole FROM networks"
		     " WHERE whole OR (?2 AND id >= ?1 AND id < ?3) ORDER BY whole DESC, id=?1 DESC LIMIT 2",
		     "tit", name, (int64_t)may_be_prefix, high);
	if (k < 0 || (k = db_step(r, s, "look a network up", e)) < 0)
		return k;
	if (k == 0)
		return err_set(e, ENOENT, "network %s not found", name);
	bool is_whole = sqlite3_column_int(s, COLUMN_WHOLE);
	if ((k = from_row(s, &n, e)) < 0)
		return k;
	k = is_whole ? 0 : db_step(r, s, "look a network up", e);
	if (k == 0) {
		*ret = n;
		return 0;
	}
	network_record_done(&n);
	return k < 0 ? k : err_set(e, ENOTUNIQ, "network id prefix %s is ambiguous: give more digits", name);
}

static int read_network_row(sqlite3_stmt *s, void *ret, struct err *e) { return from_row(s, ret, e); }
static void network_row_done(void *row) { network_record_done(row); }
static const struct db_row network_row = { sizeof(struct network_record), read_network_row, network_row_done };

int records_network_list(struct records *r, struct network_record **ret, size_t *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	void *list = NULL;
	int k = db_query(r, &s, e, "SELECT " NETWORK_READ " FROM networks ORDER BY name", "");

	if (k >= 0)
		k = db_list(r, s, "list networks", &network_row, &list, ret_n, e);
	if (k >= 0)
		*ret = list;
	return k;
}

/* "network web has active endpoints (name:"db" id:"3f2a...")", as docker says it. */
static int check_unused(struct records *r, const char *id, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	_cleanup_buf_ struct buf list = { 0 };
	_cleanup_free_ char *name = NULL;
	int k = db_query(r, &s, e,
			 "SELECT n.name, coalesce(c.name, p.name, ''), e.container_id FROM endpoints e"
			 " JOIN networks n ON n.id=e.network_id LEFT JOIN containers c ON c.id=e.container_id"
			 " LEFT JOIN pods p ON p.id=e.container_id WHERE e.network_id=?1 ORDER BY 2",
			 "t", id);

	while (k >= 0 && (k = db_step(r, s, "look for who is on a network", e)) == 1) {
		if (!name && db_text(s, 0, &name) < 0)
			return err_set(e, ENOMEM, "records: out of memory");
		buf_fmt(&list, "%sname:\"%s\" id:\"%.12s\"", list.len ? ", " : "", (const char *)sqlite3_column_text(s, 1),
			(const char *)sqlite3_column_text(s, 2));
	}
	if (k < 0 || !name)
		return k;
	return err_set(e, EBUSY, "network %s has active endpoints (%s)", name, list.data ? list.data : "...");
}

int records_network_delete(struct records *r, const char *id, struct err *e)
{
	int k = db_begin(r, true, e);

	if (k < 0)
		return k;
	k = check_unused(r, id, e);
	if (k == 0)
		k = network_event(r, id, "destroy", e);
	if (k == 0)
		k = db_run(r, "forget a network's addresses", e, "DELETE FROM network_ranges WHERE network_id=?1", "t", id);
	if (k == 0)
		k = db_run(r, "delete a network's record", e, "DELETE FROM networks WHERE id=?1", "t", id);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}
