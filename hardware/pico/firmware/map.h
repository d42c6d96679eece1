/* The copy of a module's registers, and what a bus does to it: plain C, no SDK, no hardware.
 *
 * Owns the address pointer, the page that is mapped, write and clear masks, clear-on-read, grouping of written bytes,
 * and the rule by which the host's changes meet those of the bus (hardware/pico/README.md, "How the copies agree").
 * Byte events come from the slave's interrupt; everything else is called with that interrupt held off.
 */
#ifndef CMIS_MAP_H
#define CMIS_MAP_H

#include <stdbool.h>
#include <stdint.h>

#define HALF 128u
#define SLOTS 96u      /* pages, the lower memory (slot 0) included */
#define NO_SLOT 0xFFu
#define BANKS 4u
#define WRITE_MAX 2048u /* data bytes of one write */
#define READ_MAX 4096u  /* bytes that one read may carry; beyond it reads FFh */
#define CLEARS_MAX 60u  /* cleared bytes that one report carries */
#define PIECE_MAX 128u  /* data bytes that one report of a write carries */
#define BANK_SELECT 126u
#define PAGE_SELECT 127u

#ifdef CMIS_FAST_SECTION /* code that an interrupt runs: kept in RAM, away from the flash cache */
#define FAST __attribute__((section(CMIS_FAST_SECTION)))
#else
#define FAST
#endif

enum end { END_STOP = 0, END_RESTART = 1, END_MORE = 2 };

enum { PAGE_BANKED = 1 };

struct page {
    uint8_t data[HALF];
    uint8_t write[HALF];      /* bits that a bus write stores */
    uint8_t clear[HALF];      /* bits that a bus read clears */
    uint16_t touch[HALF];     /* number of the last report that changed the byte, where `marks` has its bit */
    uint32_t marks[HALF / 32];
    uint8_t hold[HALF / 8];   /* bytes whose write waits for the host */
    uint8_t number, bank, flags, next; /* next: slot on which a run past the end goes on */
    uint16_t limit;           /* data bytes that a write beginning here may carry */
    uint16_t newest;          /* greatest of `touch` */
    bool touched;             /* is there any mark? */
};

/* Where reports go. Each returns the number of the report. They never fail: `map_room` is asked before. */
struct map;
uint16_t report_write(struct map *map, uint8_t slot, uint8_t offset, const uint8_t *data, uint16_t length,
                      enum end end);
uint16_t report_read(struct map *map, uint8_t slot, uint8_t offset, uint16_t count, const uint8_t *clears,
                     uint8_t cleared, enum end end);

enum mode { MODE_IDLE = 0, MODE_WRITE = 1, MODE_READ = 2 };

struct map {
    struct page pages[SLOTS];
    uint8_t index[BANKS][256]; /* slot of a page by bank and number */
    uint8_t banks;             /* greatest number of banks of any page */
    bool flat;                 /* page selects do nothing */
    uint16_t read_limit;       /* bytes that a read may carry */
    uint8_t upper;             /* slot that the upper half shows */
    uint16_t map_touch;
    bool map_touched;

    uint8_t pointer;
    enum mode mode;
    bool pending;          /* a byte is on its way out and not known to have left */
    uint8_t origin;        /* address of its first data byte */
    uint8_t origin_slot;
    uint16_t length;       /* data bytes taken */
    uint16_t limit;
    uint8_t buffer[WRITE_MAX];
    uint8_t read_slot, read_offset; /* of the first byte of the read, or of what was not reported yet */
    uint16_t read_count, read_total;
    uint8_t cleared;
    uint8_t clears[2 * CLEARS_MAX]; /* index, bits */

    bool hold;             /* a write that the host has not dealt with holds off accesses */
    uint16_t hold_report;
};

void map_reset(struct map *map);
void map_place(struct map *map, uint8_t slot, uint8_t number, uint8_t bank, uint8_t flags, uint8_t next,
               uint16_t limit);

/* Byte events. */
void map_first(struct map *map, uint8_t value);  /* the first byte of a write: the address */
void map_more(struct map *map, uint8_t value);   /* a later one */
uint8_t map_show(struct map *map);               /* the next byte of a read; it leaves from now on */
void map_left(struct map *map);                  /* it was clocked out whole */
void map_over(struct map *map, enum end end);    /* the message is over */
void map_abort(struct map *map);                 /* it broke off: what was written is forgotten */

/* What the host says. `seen`: number of the last report that it had dealt with when it said so. */
void map_load(struct map *map, uint8_t slot, uint8_t offset, const uint8_t *data, uint8_t length, uint16_t seen);
void map_select(struct map *map, uint8_t slot, uint16_t seen);
void map_seen(struct map *map, uint16_t seen);

static inline bool after(uint16_t a, uint16_t b) { return (int16_t)(uint16_t)(a - b) > 0; }

#endif
