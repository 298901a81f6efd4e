/* spec: the documents of the OCI specifications and Berth's own launch file as plain structs, with their JSON tables.
 * Everything is zero-initialisable and freed by the matching *_done. Strings are owned unless a comment says not. */
#pragma once

#include "image_spec.h"
#include "launch.h"
#include "platform.h"
#include "ref.h"
#include "runtime_spec.h"
#include "secrets.h"
