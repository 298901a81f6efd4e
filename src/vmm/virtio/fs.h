/* fs: what tests and the fuzz target drive of the device without its worker. */
#pragma once

#include "virtio.h"

/* One turn of the worker: takes what the server has done, and what the guest asks. true: there may be more to do at once. */
bool fs_device_turn(struct virtio_device *d);
/* Slots that no message is in. */
unsigned fs_device_free_slots(struct virtio_device *d);
