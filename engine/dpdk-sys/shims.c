#include "wrapper.h"

#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0)
#error "DPDK 22.11 or later is needed"
#endif

int swath_rte_errno(void) { return rte_errno; }

uint16_t swath_rte_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, packets, count);
}

uint16_t swath_rte_eth_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, packets, count);
}

void swath_rte_pktmbuf_free(struct rte_mbuf *packet) { rte_pktmbuf_free(packet); }

void swath_rte_mempool_flush_all(struct rte_mempool *pool)
{
	for (unsigned lcore = 0; pool->cache_size != 0 && lcore < RTE_MAX_LCORE; lcore++)
		rte_mempool_cache_flush(&pool->local_cache[lcore], pool);
}

int swath_rte_eth_link_is_up(const struct rte_eth_link *link) { return link->link_status == RTE_ETH_LINK_UP; }

uint32_t swath_rte_eth_link_speed(const struct rte_eth_link *link)
{
	return link->link_status == RTE_ETH_LINK_UP && link->link_speed != RTE_ETH_SPEED_NUM_UNKNOWN ? link->link_speed : 0;
}

/* The first port of a device: most have one. */
int swath_rte_eth_dev_get_port(const char *devargs, uint16_t *port)
{
	struct rte_dev_iterator iterator;
	uint16_t found;

	RTE_ETH_FOREACH_MATCHING_DEV(found, devargs, &iterator) {
		rte_eth_iterator_cleanup(&iterator);
		*port = found;
		return 0;
	}
	return -1;
}

const uint64_t SWATH_RX_VLAN_STRIPPED = RTE_MBUF_F_RX_VLAN_STRIPPED;
const uint64_t SWATH_RSS_IP = RTE_ETH_RSS_IP;
const uint64_t SWATH_RSS_TCP = RTE_ETH_RSS_TCP;
const uint64_t SWATH_RSS_UDP = RTE_ETH_RSS_UDP;
