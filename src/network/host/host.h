/* network/host: what berth-net does to the host's network, as plan.h asks. It alone speaks with the kernel's rtnetlink and nf_tables;
 * no program is run but a network's resolver.
 *
 * Theory of operation. Whatever differs between containers is either a device or an element of a set: the rules themselves are static
 * (ruleset.c), so that attach and detach are a few messages each. A network is its bridge; it is made by the first that attaches to it
 * (bridge.c), and goes with the last (linger.c). All berth-net of a host take turns (serve.c), so none sees what another has half done.
 * Whoever is killed leaves devices and elements that the next detach or sweep of the same endpoint finds by their names: they
 * are made of the endpoint's id. Nothing of this is kept in files but what resolvers need. */
#pragma once

/* berth-net's main: one plan from descriptor 3, one answer to it. verb: of argv, NULL where there was none. The exit status: 0 when an
 * answer was given, also one that tells of an error; 1 when it could not be; 2 for wrong usage. */
int net_serve(const char *verb);
