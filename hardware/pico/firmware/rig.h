/* The front end as a whole: the map, the link to the host, the lease by which it answers, the pins.
 *
 * Owns the protocol (hardware/pico/README.md, "Protocol"): sessions, two ordered streams with go-back-N, the reports
 * that wait to be acknowledged, hold-off, and the lease: it answers on the bus only while the host has said, less than
 * `lease_ms` ago by this board's own clock, that everything was sent.
 */
#ifndef CMIS_RIG_H
#define CMIS_RIG_H

#include "frame.h"
#include "map.h"

#define PROTOCOL_VERSION 1
#define KIND_C 1
#define RING_SIZE 16384u
#define RING_ROOM 4608u /* what one transaction can fill at the most */

enum message { /* to the board: first those without a number, then the stream */
    MSG_QUERY = 0x01,
    MSG_OPEN = 0x02,
    MSG_ACK = 0x03,
    MSG_ASK = 0x04,
    MSG_SETUP = 0x10,
    MSG_PAGE = 0x11,
    MSG_ATTR = 0x12,
    MSG_LOAD = 0x13,
    MSG_MAP = 0x14,
    MSG_PINS = 0x15,
    MSG_ENABLE = 0x16,
    MSG_SYNC = 0x17,
    MSG_RESTART = 0x18,
    /* from the board */
    MSG_INFO = 0x81,
    MSG_BEAT = 0x82,
    MSG_STATS = 0x84,
    MSG_WRITE = 0x90,
    MSG_READ = 0x91,
    MSG_SIDE = 0x92,
};

enum beat_flag { BEAT_ANSWERING = 1, BEAT_LEASED = 2, BEAT_HOLDING = 4, BEAT_GAP = 8, BEAT_FULL = 16 };

enum side { SIDE_RESET_L = 1, SIDE_LP_MODE = 2, SIDE_MOD_SEL_L = 4 };      /* levels from the bus host */
enum lamp { LAMP_INT = 1, LAMP_PRESENT = 2 };                              /* asserted towards the bus host */

enum { STAT_READS, STAT_WRITES, STAT_BAD_FRAMES, STAT_GAPS, STAT_LATE_HOLDS, STAT_LEASES_LOST, STAT_OVERRUNS,
       STAT_ABORTS, STATS };

struct rig {
    struct map map; /* first: reports find the rig by it */

    uint32_t nonce;
    bool open;
    uint16_t session;
    uint16_t expected; /* number of the next message of the stream */
    uint16_t told;     /* `expected` as the last beat told it */

    uint8_t ring[RING_SIZE];
    volatile uint16_t head;
    uint16_t tail, send;                  /* places in the ring */
    volatile uint16_t next;               /* number of the next report */
    uint16_t acked, sending;              /* number of the last report that arrived; of the next one to send */
    uint32_t progress_ms;                 /* when a report was sent first or arrived last */

    uint8_t rx[FRAME_CODED];
    uint16_t rx_length;
    bool rx_spoilt;
    uint16_t stalled;                     /* length of a decoded frame that waits for the bus to be idle */

    bool want_info, want_beat, want_stats, gap;
    uint32_t now_ms, beat_ms;
    bool synced;
    uint32_t sync_ms;
    uint16_t lease_ms, hold_ms;
    bool holding;
    uint32_t held_ms;
    bool leased;

    bool enabled;
    uint8_t lamps;
    uint8_t sides;
    uint8_t pin_set; /* which side-band pins are connected: 0 none, 1 QSFP-DD, 2 OSFP */
    bool resetting;
    uint16_t reset_report;
    uint32_t stats[STATS];
};

void rig_init(struct rig *rig, uint32_t nonce);

/* From interrupts of the same priority as the bus's, every millisecond: the lease must end when the main loop hangs. */
void rig_tick(struct rig *rig, uint32_t now_ms);
void rig_sides(struct rig *rig, uint8_t levels); /* debounced levels of the pins that the bus host drives */

/* From the main loop. */
size_t rig_receive(struct rig *rig, const uint8_t *data, size_t length); /* how many bytes were taken */
size_t rig_transmit(struct rig *rig, uint8_t *coded); /* one frame of up to FRAME_CODED bytes, or 0 */

bool rig_answers(const struct rig *rig);     /* should accesses be acknowledged? */
bool rig_breaks_off(const struct rig *rig);  /* and must one that is under way end now? */
uint8_t rig_lamps(const struct rig *rig);    /* `enum lamp`: what is asserted */

size_t rig_size(void);

#endif
