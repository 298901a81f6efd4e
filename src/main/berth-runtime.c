/* berth-runtime: the OCI runtime's command line, for Docker, containerd, Podman and others. Everything is in runtime/. */
#include "runtime.h"

int main(int argc, char **argv) { return runtime_main(argc, argv); }
