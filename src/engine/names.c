/* names.c: a name for a container that was given none. */
#include "engine_impl.h"

#include <sys/random.h>

static const char *const adjectives[] = {
	"amber",    "ample",    "bold",    "brisk",  "calm",    "candid", "clear",   "copper", "crisp",  "dapper",
	"dawn",     "deft",     "distant", "early",  "earnest", "fabled", "fleet",   "fresh",  "gentle", "golden",
	"grand",    "hardy",    "hazel",   "honest", "idle",    "ivory",  "jolly",   "keen",   "late",   "level",
	"light",    "lively",   "loyal",   "lucid",  "mellow",  "merry",  "mild",    "modest", "neat",   "nimble",
	"noble",    "northern", "patient", "plain",  "proud",   "quick",  "quiet",   "rapid",  "ready",  "rosy",
	"royal",    "rustic",   "salty",   "sandy",  "silent",  "silver", "sleek",   "smooth", "snug",   "solid",
	"southern", "spry",     "stable",  "steady", "stout",   "sturdy", "sunny",   "swift",  "tidal",  "tidy",
	"tranquil", "trim",     "true",    "upbeat", "vivid",   "warm",   "western", "windy",  "wise",   "young",
};
/* Things of a harbour. */
static const char *const nouns[] = {
	"anchor",  "anemone",    "barge",  "barque",   "bay",     "beacon",  "bollard", "boom",    "bow",     "brig",
	"buoy",    "cable",      "canal",  "capstan",  "chart",   "clam",    "compass", "cove",    "crab",    "crane",
	"crew",    "current",    "cutter", "deck",     "delta",   "dinghy",  "dock",    "dolphin", "drift",   "dune",
	"ferry",   "fjord",      "fleet",  "foam",     "frigate", "gale",    "galley",  "gull",    "harbour", "haven",
	"helm",    "heron",      "hull",   "island",   "jetty",   "kayak",   "keel",    "ketch",   "lagoon",  "lantern",
	"ledger",  "lighthouse", "lugger", "marina",   "mast",    "mooring", "oar",     "osprey",  "otter",   "packet",
	"pelican", "pier",       "pilot",  "porpoise", "quay",    "raft",    "reef",    "rigging", "rope",    "rudder",
	"sail",    "schooner",   "seal",   "sextant",  "shoal",   "skiff",   "sloop",   "sound",   "spar",    "stern",
	"strait",  "surf",       "tern",   "tide",     "tiller",  "trawler", "tug",     "voyage",  "wharf",   "yawl",
};

char *name_generate(void)
{
	uint32_t pick[2];

	if (getrandom(pick, sizeof(pick), 0) != sizeof(pick))
		return NULL;
	return str_fmt("%s_%s", adjectives[pick[0] % ARRAY_SIZE(adjectives)], nouns[pick[1] % ARRAY_SIZE(nouns)]);
}
