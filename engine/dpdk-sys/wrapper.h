/* What bindgen reads, and the shims are compiled against. */
#ifndef SWATH_DPDK_WRAPPER_H
#define SWATH_DPDK_WRAPPER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_config.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_memory.h>
#include <rte_mempool.h>
#include <rte_version.h>

/* Functions that DPDK has in its headers only. Each does what the one does whose name it has behind `swath_`, if nothing else is said. */
int swath_rte_errno(void);
uint16_t swath_rte_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count);
uint16_t swath_rte_eth_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count);
void swath_rte_pktmbuf_free(struct rte_mbuf *packet);
/* Gives back what the caches of all threads hold. None of them may use the pool meanwhile. */
void swath_rte_mempool_flush_all(struct rte_mempool *pool);
/* Mbit/s, 0 if it is not known or the link is down. */
int swath_rte_eth_link_is_up(const struct rte_eth_link *link);
uint32_t swath_rte_eth_link_speed(const struct rte_eth_link *link);
int swath_rte_eth_dev_get_port(const char *name, uint16_t *port);

/* Where the fields of an rte_mbuf are that are read or written: it is full of unions without names. */
enum {
	SWATH_MBUF_SIZE = sizeof(struct rte_mbuf),
	SWATH_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),
	SWATH_MBUF_BUF_IOVA = offsetof(struct rte_mbuf, buf_iova),
	SWATH_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),
	SWATH_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),
	SWATH_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),
	SWATH_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),
	SWATH_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags),
	SWATH_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),
	SWATH_MBUF_POOL = offsetof(struct rte_mbuf, pool),
	SWATH_MBUF_PORT = offsetof(struct rte_mbuf, port),
	SWATH_MBUF_PRIV_SIZE = offsetof(struct rte_mbuf, priv_size),
	SWATH_MBUF_REFCNT = offsetof(struct rte_mbuf, refcnt),
	SWATH_MBUF_VLAN_TCI = offsetof(struct rte_mbuf, vlan_tci),
};

/* Macros, and what has another name in another release. */
extern const uint64_t SWATH_RX_VLAN_STRIPPED;
extern const uint64_t SWATH_RSS_IP, SWATH_RSS_TCP, SWATH_RSS_UDP;

#endif
