/* What the emulator and the helper that polls the BSC slave share, and the helper's own state.
 *
 * Shared memory is one `struct bsc_shared`. Pages go one way, by `bsc_publish`; what the bus did goes the other way,
 * by a ring of events that `bsc_take` empties. The helper applies writes to its own view at once (masks, page select,
 * clear-on-read) and keeps each changed byte on top of the page until a page is published that knows of its event.
 */
#ifndef CMIS_EMU_BSC_SLAVE_H
#define CMIS_EMU_BSC_SLAVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    BSC_HALF = 128,
    BSC_PAGES = 256,   /* most that a module may have, lower memory included */
    BSC_EVENTS = 64,   /* of the ring; a power of two */
    BSC_DATA = 256,    /* most bytes that one event carries */
    BSC_FIFO = 16,
    BSC_LOWER = 0xffff /* key of the lower memory; of the others bank << 8 | page */
};

/* Registers, as word offsets. Names and bits as in published code for the chip; BCM2835 ARM Peripherals, chapter 11. */
enum { BSC_DR, BSC_RSR, BSC_SLV, BSC_CR, BSC_FR, BSC_IFLS, BSC_IMSC, BSC_RIS, BSC_MIS, BSC_ICR };
enum { CR_EN = 1 << 0, CR_I2C = 1 << 2, CR_BRK = 1 << 7, CR_TXE = 1 << 8, CR_RXE = 1 << 9 };
enum { FR_TXBUSY = 1 << 0, FR_RXFE = 1 << 1, FR_TXFF = 1 << 2, FR_RXFF = 1 << 3, FR_TXFE = 1 << 4, FR_RXBUSY = 1 << 5 };
enum { FR_TXLEVEL = 6, FR_LEVEL_MASK = 0x1f };
enum { RSR_OE = 1 << 0, RSR_UE = 1 << 1 };

struct bsc_page {
    _Atomic uint32_t sequence; /* odd while it is written */
    uint32_t acknowledged;     /* number of the last event that `data` knows of */
    uint32_t key;
    uint32_t banked;
    uint8_t data[BSC_HALF];
    uint8_t writable[BSC_HALF];
    uint8_t clears[BSC_HALF]; /* bits that a read clears */
};

enum bsc_kind { BSC_WRITE = 1, BSC_READ = 2 };

struct bsc_event {
    uint32_t number; /* from 1 */
    uint16_t kind;
    uint16_t length;
    uint32_t key;  /* of the half that was mapped, where `address` is in the upper one */
    uint32_t address;
    uint8_t data[BSC_DATA]; /* that came in, or that was clocked out */
};

struct bsc_shared {
    uint32_t pages; /* how many there are; the first is the lower memory */
    _Atomic uint32_t enabled, stop;
    _Atomic uint32_t write_limit[2]; /* data bytes that a write to the lower, the upper half may carry */
    _Atomic uint64_t mapped; /* event << 32 | index of the page that the module maps, as of that event */
    /* by the helper */
    _Atomic uint32_t polls, overruns, underruns, lost;
    _Atomic uint32_t head, tail; /* of the events */
    struct bsc_event events[BSC_EVENTS];
    struct bsc_page page[BSC_PAGES];
};

struct bsc_registers {
    uint32_t (*read)(void *chip, unsigned reg);
    void (*write)(void *chip, unsigned reg, uint32_t value);
    void *chip;
};

enum bsc_state { BSC_IDLE, BSC_WRITING, BSC_READING };

struct bsc_slave {
    struct bsc_shared *shared;
    struct bsc_registers registers;
    uint64_t quiet_ns; /* how long nothing happens at the end of a transfer */
    bool trust_busy;   /* the busy flags last from address to STOP */
    bool enabled;
    enum bsc_state state;
    uint64_t moved_ns; /* when a byte was last seen to come or go */
    uint8_t pointer;
    unsigned mapped; /* index of the page in the upper half */
    uint32_t number; /* of the last event */
    uint8_t received[BSC_DATA];
    unsigned count;
    /* what is in the transmit FIFO and the shift register, or was since they were filled anew */
    uint8_t half[BSC_HALF];
    uint8_t sent[BSC_DATA];
    unsigned loaded, consumed;
    /* bytes on top of the pages: by index of the page */
    uint8_t top[BSC_PAGES][BSC_HALF];
    uint32_t top_number[BSC_PAGES][BSC_HALF];
    uint8_t last[BSC_PAGES][BSC_HALF]; /* whole copies, for a page that is never found at rest */
};

/* The emulator's side. */
unsigned long bsc_shared_size(void);
unsigned long bsc_slave_size(void);
void bsc_describe(struct bsc_shared *shared, unsigned index, uint32_t key, unsigned banked, const uint8_t *writable,
                  const uint8_t *clears);
void bsc_publish(struct bsc_shared *shared, unsigned index, const uint8_t *data, uint32_t acknowledged);
void bsc_map(struct bsc_shared *shared, unsigned index, uint32_t acknowledged, unsigned lower_limit,
             unsigned upper_limit);
void bsc_enable(struct bsc_shared *shared, unsigned pages, unsigned enabled);
void bsc_stop(struct bsc_shared *shared);
int bsc_take(struct bsc_shared *shared, struct bsc_event *event);
void bsc_counts(struct bsc_shared *shared, uint32_t counts[4]);

/* The helper's side. */
void bsc_begin(struct bsc_slave *slave, struct bsc_shared *shared, const struct bsc_registers *registers,
               unsigned address, unsigned hz, int trust_busy);
void bsc_poll(struct bsc_slave *slave, uint64_t now_ns);
void bsc_end(struct bsc_slave *slave);

#endif
