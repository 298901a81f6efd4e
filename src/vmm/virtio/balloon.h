/* balloon: see balloon.c. What is asked of a VM's balloon, and its parts that tests drive. vmm thread. */
#pragma once

#include "../vmm_impl.h"

/* What the guest has told of its memory; BALLOON_UNTOLD: nothing. Numbers of virtio 1.2, 5.5.6.3. */
#define BALLOON_STATS  10u
#define BALLOON_UNTOLD UINT64_MAX
extern const char *const balloon_stat_names[BALLOON_STATS];

struct balloon_report {
	uint64_t target_bytes, actual_bytes; /* what the balloon shall hold; what the driver says that it holds */
	uint64_t returned_bytes;             /* to the host since the VM was built, whatever the guest has taken again */
	uint64_t stats[BALLOON_STATS];
	uint64_t stats_at_us; /* clock_mono_us when they came; 0: never */
};

/* The VM's balloon, or NULL. */
struct virtio_device *balloon_find(struct vmm *vm);
/* What the guest shall give away. It does so when it can, if it has a driver. At most the VM's memory, rounded down to pages. */
void balloon_set_target(struct virtio_device *d, uint64_t bytes);
/* What is known now; asks the guest for newer statistics, which come when it gets to it. */
void balloon_report(struct virtio_device *d, struct balloon_report *ret);
