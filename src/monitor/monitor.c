/* The monitor as programs call it: with the real walls. Tests call monitor_run_with with one of their own. */
#include "monitor_impl.h"

int monitor_run(const struct monitor_config *cfg, struct err *e) { return monitor_run_with(cfg, isolation_find, STALL_MS, e); }
