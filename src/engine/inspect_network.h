/* inspect_network: networks and ports in docker's JSON. */
#pragma once

#include "docker_json.h"
#include "ports.h"

struct network_facts {
	struct net_plan plan; /* as it would be started now */
	struct ports ports;   /* published at present */
	bool is_up;
	bool is_pods; /* all of this: with these options */
	struct run_opts pod_o;
};
int network_facts_get(struct engine *en, const struct container_record *c, struct network_facts *ret, struct err *e);
void network_facts_done(struct network_facts *f);
void network_inspect(struct doc d, const struct run_opts *o,
		     const struct network_facts *f); /* NetworkSettings, of the whole document */
void network_inspect_exposed(struct doc s, const struct run_opts *o);
void network_inspect_wishes(struct doc s, const struct run_opts *o); /* of HostConfig; the one above: of Config */
