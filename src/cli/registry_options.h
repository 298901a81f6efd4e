/* The options of every verb that speaks with a registry. */
#pragma once

#include "engine.h"
#include "opts.h"

/* Rows of an option table. member: a struct registry_trust in the verb's own struct `type`. */
#define REGISTRY_OPTIONS(type, member)                                                                                       \
	{ "plain-http", 0, OPT_FLAG, offsetof(type, member.plain_http), NULL, "without TLS (always allowed for loopback)" }, \
	{                                                                                                                    \
		"tls-verify", 0, OPT_FLAG_OFF, offsetof(type, member.tls_skip_verify), NULL,                                 \
			"check the registry's certificate (default true)"                                                    \
	}
