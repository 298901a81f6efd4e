/* login: the deeds of `berth-transfer login` and `logout`. */
#pragma once

#include "access.h"
#include "credentials.h"

struct login_request {
	const char *domain;
	const struct credential *cred; /* user and password */
	struct registry_access access; /* confine: of the process that talks to the registry */
};
/* Asks the registry whether it takes the credentials, in a process of its own, and keeps them. -EACCES: it does not, and nothing has
 * changed. */
int login(const struct login_request *q, struct credential_place *ret, struct err *e);
