/* berth-net: the host's side of networks, for berth and its monitors; network/plan.h says how it is spoken with. */
#include "base.h"
#include "host.h"

int main(int argc, char **argv)
{
	fd_fill_stdio();
	return net_serve(argc == 2 ? argv[1] : NULL);
}
