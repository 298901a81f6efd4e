/* uts: host name and NIS domain name. Called as step `hostname`. */
#include <unistd.h>

#include "setup.h"

int uts_apply(struct setup *s, struct err *e)
{
	const struct spec *p = s->spec;

	if ((p->hostname || p->domainname) && !p->ns.wanted[NS_UTS])
		return err_set(e, EINVAL, "a host name needs a uts namespace, else it would rename the host");
	/* A joined namespace has the names that its maker gave it. */
	if (!ns_is_new(p, NS_UTS))
		return 0;
	if (p->hostname && sethostname(p->hostname, strlen(p->hostname)) < 0)
		return err_set(e, errno, "host name \"%s\": %s", p->hostname,
			       errno == EINVAL ? "is longer than 64 bytes" : strerror(errno));
	if (p->domainname && setdomainname(p->domainname, strlen(p->domainname)) < 0)
		return err_set(e, errno, "domain name \"%s\": %s", p->domainname,
			       errno == EINVAL ? "is longer than 64 bytes" : strerror(errno));
	return 0;
}
