/* search: the deed of `berth-transfer search`. */
#pragma once

#include "access.h"
#include "codec.h"

#define SEARCH_MAX 10000u /* of tags; of repositories docker's 100 */

struct search_request {
	const char *domain;
	const char *term; /* "" = all repositories, where the registry tells them */
	const char *tags; /* not NULL: a repository's path, whose tags are listed; term is not looked at */
	unsigned limit;
	struct registry_access access;
};
/* *ret: an array. Of objects with "name" (without the domain), "description", "star_count", "is_official", "is_automated"; or of tags,
 * strings. Everything in it has the form that such a thing has. */
int search(const struct search_request *q, struct json_object **ret, struct err *e);
