/* pmem: what the fuzz target drives of the device without its worker. */
#pragma once

#include "virtio.h"

/* One turn of the worker: answers what waits. true: there may be more to do at once. */
bool pmem_turn(struct virtio_device *d);
