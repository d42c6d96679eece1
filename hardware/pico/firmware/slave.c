#include "slave.h"

#ifdef CMIS_SIM
#define READ(offset) slave->read(offset)
#define WRITE(offset, value) slave->write(offset, value)
#else
#define READ(offset) (*(volatile uint32_t *)(slave->registers + (offset)))
#define WRITE(offset, value) (*(volatile uint32_t *)(slave->registers + (offset)) = (value))
#endif

#define WANTED (INT_RX_OVER | INT_RX_FULL | INT_RD_REQ | INT_TX_ABRT | INT_RX_DONE | INT_STOP_DET)
#define RARE (INT_RX_OVER | INT_TX_ABRT | INT_RX_DONE | INT_STOP_DET | INT_START_DET)

void slave_init(struct slave *slave, uint8_t address) {
    WRITE(IC_ENABLE, 0);
    WRITE(IC_CON, CON_SPEED_FAST | CON_RESTART_EN | CON_TX_EMPTY_CTRL | CON_RX_FULL_HOLD);
    WRITE(IC_SAR, address);
    WRITE(IC_RX_TL, 0);
    WRITE(IC_TX_TL, 0);
    WRITE(IC_INTR_MASK, WANTED);
    slave->on = false;
    slave->done = false;
}

/* Bytes that were written, in the order in which they came; the block marks the first one of each message. */
FAST static void drain(struct slave *slave, enum end end) {
    struct map *map = &slave->rig->map;
    while (READ(IC_STATUS) & STATUS_RFNE) {
        uint32_t data = READ(IC_DATA_CMD);
        if (data & DATA_FIRST) {
            if (map->mode != MODE_IDLE)
                map_over(map, end);
            slave->done = false;
            map_first(map, (uint8_t)data);
        } else {
            map_more(map, (uint8_t)data);
        }
    }
}

static inline void switch_to(struct slave *slave, bool on) {
    WRITE(IC_ENABLE, on ? 1 : 0);
    slave->on = on;
}

FAST void slave_irq(struct slave *slave) {
    struct map *map = &slave->rig->map;
    uint32_t raised = READ(IC_RAW_INTR_STAT);
    enum end end = raised & INT_STOP_DET ? END_STOP : END_RESTART;
    if (raised & RARE) {
        if (raised & INT_RX_OVER) {
            (void)READ(IC_CLR_RX_OVER);
            slave->rig->stats[STAT_OVERRUNS]++;
        }
        if (raised & INT_TX_ABRT)
            (void)READ(IC_CLR_TX_ABRT);
        if (raised & INT_RX_DONE) { /* comes before whatever else is raised: after it SCL waits for nobody */
            (void)READ(IC_CLR_RX_DONE);
            map_left(map);
            slave->done = true;
        }
        if (raised & (INT_STOP_DET | INT_START_DET))
            map->pending = false; /* the byte under way was cut off */
        if (raised & INT_START_DET)
            (void)READ(IC_CLR_START_DET);
    }
    if (raised & INT_RX_FULL)
        drain(slave, end);
    if (raised & INT_STOP_DET) {
        (void)READ(IC_CLR_STOP_DET);
        if (!(READ(IC_STATUS) & STATUS_SLAVE)) { /* else the STOP was of a message before the one under way */
            drain(slave, END_STOP);
            map_over(map, END_STOP);
            slave->done = false;
            if (slave->on && !rig_answers(slave->rig))
                switch_to(slave, false);
        }
    }
    if (raised & INT_RD_REQ) { /* SCL is held: nothing came after it */
        (void)READ(IC_CLR_RD_REQ);
        if (slave->done || (map->mode == MODE_READ && !map->pending)) {
            map_over(map, end);
            slave->done = false;
        }
        map_left(map); /* the one before was acknowledged */
        WRITE(IC_DATA_CMD, map_show(map)); /* one byte for each request: what is given was asked for */
    }
}

void slave_poll(struct slave *slave) {
    struct map *map = &slave->rig->map;
    bool quiet = !(READ(IC_STATUS) & (STATUS_SLAVE | STATUS_RFNE));
    if (slave->on && map->mode != MODE_IDLE && rig_breaks_off(slave->rig)) {
        switch_to(slave, false);
        map_abort(map);
        slave->rig->stats[STAT_ABORTS]++;
        return;
    }
    if (quiet && map->mode != MODE_IDLE && !(READ(IC_RAW_INTR_STAT) & WANTED)) {
        map_over(map, END_STOP); /* its STOP was seen while the slave still looked busy */
        slave->done = false;
    }
    bool answers = rig_answers(slave->rig);
    if (slave->on && !answers && quiet && map->mode == MODE_IDLE)
        switch_to(slave, false);
    else if (!slave->on && answers)
        switch_to(slave, true);
}
