/* vm_network: a VM's side of its networks (network/plan.h): what its VMM and berth-init are told of each card. Taps come open from whoever
 * asked berth-net for them, and the VMM has nothing else of the host's network. */
#include "guest.h"
#include "vm_impl.h"
#include "vmm.h"

_Static_assert(VM_NETWORKS_MAX <= GUEST_INTERFACES_MAX && VM_NETWORKS_MAX <= VM_TAPS_MAX, "room for each");

#define MTU_DEFAULT 1500 /* of the bridge; told always, so that a copy may be on a network that says another */

size_t vm_network_queues(const struct net_plan *p) { return p->queues ? p->queues : 1; }

uint32_t vm_network_mtu(const struct net_endpoint *ep) { return ep->network.mtu ? ep->network.mtu : MTU_DEFAULT; }

int vm_network_check(const struct net_plan *p, const int *taps, size_t n_taps, struct err *e)
{
	size_t n = p ? p->n_endpoints : 0, queues = p ? vm_network_queues(p) : 1;
	uint8_t mac[6];

	if (n > VM_NETWORKS_MAX)
		return err_set(e, EINVAL, "%zu networks: a virtual machine can be on %d at most", n, VM_NETWORKS_MAX);
	for (size_t i = 0; i < n; i++)
		if (!p->endpoints[i].mac || str_to_mac(p->endpoints[i].mac, mac) < 0)
			return err_set(e, EINVAL, "network %s: \"%s\" is not the hardware address of a card",
				       p->endpoints[i].network.name, p->endpoints[i].mac ?: "");
	if (n_taps != n * queues || n_taps > VM_TAPS_MAX || queues > VMM_TAPS_MAX)
		return err_set(e, EINVAL, "%zu taps for %zu network cards with %zu queues each", n_taps, n, queues);
	for (size_t i = 0; i < n_taps; i++)
		if (taps[i] < 0)
			return err_set(e, EBADF, "tap #%zu is not open", i);
	return 0;
}

int vm_network_interfaces(const struct net_plan *p, struct guest_interface **ret, size_t *ret_n)
{
	size_t n = p ? p->n_endpoints : 0;
	struct guest_interface *list = calloc(n + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct net_endpoint *ep = &p->endpoints[i];

		list[i] = (struct guest_interface){ .name = ep->name,
						    .mac = ep->mac,
						    .addresses = ep->addresses,
						    .gateway4 = ep->gateway4,
						    .gateway6 = ep->gateway6,
						    .mtu = vm_network_mtu(ep) };
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

size_t vm_network_give(const struct instance *i, int first, int (*fds)[2])
{
	for (size_t k = 0; k < i->cfg.n_taps; k++) {
		fds[k][0] = i->cfg.taps[k];
		fds[k][1] = first + (int)k;
	}
	return i->cfg.n_taps;
}
