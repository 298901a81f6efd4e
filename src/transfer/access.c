/* access.c: see access.h. */
#include "access.h"

#include <unistd.h>

#include "registry.h"

int registry_connect(const struct registry_access *a, const char *domain, const char *path, bool pushes, struct credential *cred,
		     struct registry *reg, struct http **ret_http, struct err *e)
{
	const struct http_opts h = { .tls_skip_verify = a->tls_skip_verify,
				     .stall_ms = a->stall_ms,
				     .domain = domain,
				     .ca_file = a->ca_file,
				     .ca_dir = a->ca_dir };
	const struct registry_opts o = {
		.domain = domain, .path = path, .plain_http = a->plain_http, .pushes = pushes, .stall_ms = a->stall_ms
	};
	_cleanup_credential_ struct credential found = {};
	int r = cred ? 0 : credential_find(domain, path, environ, &found, e);

	if (r >= 0)
		r = http_new(&h, ret_http, e);
	if (r >= 0 && a->confine)
		r = a->confine(a->confine_arg, e);
	if (r >= 0)
		r = registry_open(reg, *ret_http, &o, cred ? cred : &found, e);
	return r;
}
