#include "rig.h"

#include <string.h>

#define BEAT_MS 20u
#define RESEND_MS 30u
#define LEASE_MS 500u
#define HOLD_MS 10u /* tNACK */
#define BREAK_MS 50u
#define TOLD_MAX 8u /* messages taken before a beat says so out of turn */

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }
static uint32_t get32(const uint8_t *at) { return (uint32_t)get16(at) | (uint32_t)get16(at + 2) << 16; }
static void put16(uint8_t *at, uint16_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}
static void put32(uint8_t *at, uint32_t value) {
    put16(at, (uint16_t)value);
    put16(at + 2, (uint16_t)(value >> 16));
}

void rig_init(struct rig *rig, uint32_t nonce) {
    memset(rig, 0, sizeof *rig);
    map_reset(&rig->map);
    rig->nonce = nonce;
    rig->sides = SIDE_RESET_L;
}

size_t rig_size(void) { return sizeof(struct rig); }

/* What interrupts touch, too, is changed with interrupts held off, for some tens of microseconds at the most. */
#if defined(__riscv)
#error "the RISC-V cores of an RP2350 are not supported: build for its Arm cores"
#elif defined(__arm__)
static inline uint32_t quiet(void) {
    uint32_t mask;
    __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(mask) : : "memory");
    return mask;
}
static inline void unquiet(uint32_t mask) { __asm__ volatile("msr primask, %0" : : "r"(mask) : "memory"); }
#else
static inline uint32_t quiet(void) { return 0; }
static inline void unquiet(uint32_t mask) { (void)mask; }
#endif

/* -- reports ------------------------------------------------------------------------------------------------ */

FAST static uint16_t used(const struct rig *rig) { return (uint16_t)((rig->head - rig->tail) & (RING_SIZE - 1u)); }

FAST static bool room(const struct rig *rig) { return RING_SIZE - 1u - used(rig) >= RING_ROOM; }

FAST static void put(struct rig *rig, uint8_t value) {
    rig->ring[rig->head] = value;
    rig->head = (uint16_t)((rig->head + 1u) & (RING_SIZE - 1u));
}

FAST static uint16_t begin(struct rig *rig, uint8_t kind, uint8_t length) {
    uint16_t applied = (uint16_t)(rig->expected - 1u);
    put(rig, (uint8_t)(length + 2u));
    put(rig, kind);
    put(rig, (uint8_t)applied);
    put(rig, (uint8_t)(applied >> 8));
    return rig->next++;
}

FAST uint16_t report_write(struct map *map, uint8_t slot, uint8_t offset, const uint8_t *data, uint16_t length,
                           enum end end) {
    struct rig *rig = (struct rig *)map;
    uint16_t number = begin(rig, MSG_WRITE, (uint8_t)(length + 3u));
    put(rig, slot);
    put(rig, offset);
    put(rig, (uint8_t)end);
    for (uint16_t i = 0; i < length; i++)
        put(rig, data[i]);
    rig->stats[STAT_WRITES]++;
    return number;
}

FAST uint16_t report_read(struct map *map, uint8_t slot, uint8_t offset, uint16_t count, const uint8_t *clears,
                          uint8_t cleared, enum end end) {
    struct rig *rig = (struct rig *)map;
    uint16_t number = begin(rig, MSG_READ, (uint8_t)(5u + 2u * cleared));
    put(rig, slot);
    put(rig, offset);
    put(rig, (uint8_t)end);
    put(rig, (uint8_t)count);
    put(rig, (uint8_t)(count >> 8));
    for (unsigned i = 0; i < 2u * cleared; i++)
        put(rig, clears[i]);
    rig->stats[STAT_READS]++;
    return number;
}

static void report_sides(struct rig *rig) {
    uint16_t number = begin(rig, MSG_SIDE, 1);
    put(rig, rig->sides);
    if (!(rig->sides & SIDE_RESET_L)) {
        rig->resetting = true;
        rig->reset_report = number;
    }
}

void rig_sides(struct rig *rig, uint8_t levels) {
    if (levels == rig->sides)
        return;
    rig->sides = levels;
    if (rig->open && rig->pin_set)
        report_sides(rig);
}

/* What the host has received need not be sent again. */
static void acknowledged(struct rig *rig, uint16_t number) {
    if (after(number, (uint16_t)(rig->next - 1u)))
        return;
    while (after(number, rig->acked)) {
        uint16_t length = rig->ring[rig->tail];
        uint16_t step = (uint16_t)(length + 2u);
        if (rig->sending == (uint16_t)(rig->acked + 1u)) { /* it arrived before it was to be sent again */
            rig->sending++;
            rig->send = (uint16_t)((rig->send + step) & (RING_SIZE - 1u));
        }
        rig->tail = (uint16_t)((rig->tail + step) & (RING_SIZE - 1u));
        rig->acked++;
        rig->progress_ms = rig->now_ms;
    }
}

static void send_again(struct rig *rig) {
    rig->send = rig->tail;
    rig->sending = (uint16_t)(rig->acked + 1u);
    rig->progress_ms = rig->now_ms;
}

/* -- messages ----------------------------------------------------------------------------------------------- */

static void setup(struct rig *rig, const uint8_t *body, size_t length) {
    if (length < 9)
        return;
    rig->map.flat = body[0] & 1;
    rig->map.banks = body[1];
    rig->pin_set = body[2];
    rig->lease_ms = get16(body + 3);
    rig->hold_ms = get16(body + 5);
    uint16_t limit = get16(body + 7);
    rig->map.read_limit = limit ? limit : READ_MAX;
    if (rig->pin_set)
        report_sides(rig);
}

static void attributes(struct rig *rig, const uint8_t *body, size_t length) {
    if (length < 3 || body[0] >= SLOTS)
        return;
    struct page *page = &rig->map.pages[body[0]];
    uint8_t *const tables[] = {page->write, page->clear, page->hold};
    const size_t sizes[] = {HALF, HALF, HALF / 8};
    if (body[1] < 3 && body[2] + (length - 3) <= sizes[body[1]])
        memcpy(tables[body[1]] + body[2], body + 3, length - 3);
}

/* One message of the stream. */
static void take(struct rig *rig, uint8_t kind, const uint8_t *body, size_t length) {
    struct map *map = &rig->map;
    switch (kind) {
    case MSG_SETUP:
        setup(rig, body, length);
        break;
    case MSG_PAGE:
        if (length >= 7)
            map_place(map, body[0], body[1], body[2], body[3], body[4], get16(body + 5));
        break;
    case MSG_ATTR:
        attributes(rig, body, length);
        break;
    case MSG_LOAD:
        if (length >= 4)
            map_load(map, body[0], body[1], body + 4, (uint8_t)(length - 4), get16(body + 2));
        break;
    case MSG_MAP:
        if (length >= 3)
            map_select(map, body[0], get16(body + 1));
        break;
    case MSG_PINS:
        if (length >= 1)
            rig->lamps = body[0];
        break;
    case MSG_ENABLE:
        if (length >= 1)
            rig->enabled = body[0] != 0;
        break;
    case MSG_SYNC:
        if (length >= 6) {
            uint16_t seen = get16(body);
            uint32_t at = get32(body + 2);
            map_seen(map, seen);
            if (rig->resetting && !after(rig->reset_report, seen))
                rig->resetting = false;
            if (!rig->synced || (int32_t)(at - rig->sync_ms) > 0)
                rig->sync_ms = at;
            rig->synced = true;
        }
        break;
    case MSG_RESTART:
        map->pointer = 0; /* I2C-03 */
        break;
    default:
        break;
    }
}

static void open_session(struct rig *rig, uint16_t session) {
    uint32_t nonce = rig->nonce, now = rig->now_ms;
    uint8_t sides = rig->sides;
    uint32_t stats[STATS];
    memcpy(stats, rig->stats, sizeof stats);
    rig_init(rig, nonce + 1u);
    memcpy(rig->stats, stats, sizeof stats);
    rig->sides = sides;
    rig->now_ms = rig->beat_ms = rig->progress_ms = now;
    rig->open = true;
    rig->session = session;
    rig->expected = rig->next = rig->sending = 1;
    rig->told = 1;
    rig->lease_ms = LEASE_MS;
    rig->hold_ms = HOLD_MS;
}

/* A decoded frame. False when it has to wait until no message is under way on the bus. */
static bool handle(struct rig *rig, const uint8_t *frame, size_t length) {
    uint8_t kind = frame[0];
    uint16_t session = get16(frame + 1), number = get16(frame + 3);
    const uint8_t *body = frame + FRAME_HEAD;
    size_t size = length - FRAME_HEAD;
    if (kind == MSG_QUERY) {
        rig->want_info = true;
        return true;
    }
    if (kind == MSG_OPEN) {
        if (size >= 4 && get32(body) == rig->nonce) {
            if (rig->map.mode != MODE_IDLE)
                return false;
            open_session(rig, session);
        }
        rig->want_info = true;
        return true;
    }
    if (!rig->open || session != rig->session) {
        rig->want_info = true;
        return true;
    }
    acknowledged(rig, get16(frame + 5));
    if (kind == MSG_ACK) {
        if (size && body[0] && rig->sending != (uint16_t)(rig->acked + 1u))
            send_again(rig);
        return true;
    }
    if (kind == MSG_ASK) {
        rig->want_stats = true;
        return true;
    }
    if (number != rig->expected) {
        if (after(number, rig->expected)) {
            rig->stats[STAT_GAPS]++;
            rig->gap = true;
        }
        rig->want_beat = true;
        return true;
    }
    if (rig->map.mode != MODE_IDLE && kind <= MSG_RESTART && kind != MSG_PINS && kind != MSG_ENABLE &&
        kind != MSG_SYNC)
        return false;
    rig->expected++;
    rig->gap = false;
    take(rig, kind, body, size);
    if ((uint16_t)(rig->expected - rig->told) >= TOLD_MAX)
        rig->want_beat = true;
    return true;
}

static bool handle_quietly(struct rig *rig, size_t size) {
    uint32_t mask = quiet();
    bool done = handle(rig, rig->rx, size);
    unquiet(mask);
    return done;
}

size_t rig_receive(struct rig *rig, const uint8_t *data, size_t length) {
    if (rig->stalled && handle_quietly(rig, rig->stalled))
        rig->stalled = 0;
    size_t taken = 0;
    while (taken < length && !rig->stalled) {
        uint8_t value = data[taken++];
        if (value) {
            if (rig->rx_length < sizeof rig->rx)
                rig->rx[rig->rx_length++] = value;
            else
                rig->rx_spoilt = true;
            continue;
        }
        size_t size = rig->rx_spoilt ? 0 : frame_decode(rig->rx, rig->rx_length);
        if (rig->rx_length && !size)
            rig->stats[STAT_BAD_FRAMES]++;
        rig->rx_length = 0;
        rig->rx_spoilt = false;
        if (size && !handle_quietly(rig, size))
            rig->stalled = (uint16_t)size;
    }
    return taken;
}

/* -- time --------------------------------------------------------------------------------------------------- */

void rig_tick(struct rig *rig, uint32_t now_ms) {
    rig->now_ms = now_ms;
    bool leased = rig->open && rig->synced && (int32_t)(now_ms - rig->sync_ms) < (int32_t)rig->lease_ms;
    if (rig->leased && !leased)
        rig->stats[STAT_LEASES_LOST]++;
    rig->leased = leased;
    if (!rig->map.hold) {
        rig->holding = false;
    } else if (!rig->holding) {
        rig->holding = true;
        rig->held_ms = now_ms;
    } else if ((uint32_t)(now_ms - rig->held_ms) >= rig->hold_ms) {
        rig->map.hold = rig->holding = false;
        rig->stats[STAT_LATE_HOLDS]++;
    }
}

FAST bool rig_answers(const struct rig *rig) {
    if (!rig->open || !rig->enabled || !rig->leased || rig->map.hold || rig->resetting || !room(rig))
        return false;
    return !rig->pin_set || ((rig->sides & SIDE_RESET_L) && !(rig->sides & SIDE_MOD_SEL_L));
}

bool rig_breaks_off(const struct rig *rig) {
    if (rig->open && rig->pin_set && !(rig->sides & SIDE_RESET_L))
        return true;
    return !rig->open || (int32_t)(rig->now_ms - rig->sync_ms) >= (int32_t)(rig->lease_ms + BREAK_MS);
}

uint8_t rig_lamps(const struct rig *rig) { return rig->open && rig->leased ? rig->lamps : 0; }

/* -- what goes out ------------------------------------------------------------------------------------------ */

static size_t finish(struct rig *rig, uint8_t *raw, uint8_t kind, uint16_t number, size_t body, uint8_t *coded) {
    raw[0] = kind;
    put16(raw + 1, rig->session);
    put16(raw + 3, number);
    put16(raw + 5, (uint16_t)(rig->expected - 1u));
    return frame_encode(raw, FRAME_HEAD + body, coded);
}

size_t rig_transmit(struct rig *rig, uint8_t *coded) {
    uint8_t raw[FRAME_RAW];
    uint8_t *body = raw + FRAME_HEAD;
    if (rig->want_info) {
        rig->want_info = false;
        memcpy(body, "CMIS", 4);
        body[4] = PROTOCOL_VERSION;
        body[5] = KIND_C;
        put32(body + 6, rig->nonce);
        body[10] = SLOTS;
        put16(body + 11, WRITE_MAX);
        return finish(rig, raw, MSG_INFO, 0, 13, coded);
    }
    if (!rig->open)
        return 0;
    if ((uint32_t)(rig->now_ms - rig->beat_ms) >= BEAT_MS)
        rig->want_beat = true;
    if (rig->sending != (uint16_t)(rig->acked + 1u) && (uint32_t)(rig->now_ms - rig->progress_ms) >= RESEND_MS)
        send_again(rig);
    if (rig->want_beat) {
        rig->want_beat = false;
        rig->beat_ms = rig->now_ms;
        rig->told = rig->expected;
        put32(body, rig->now_ms);
        uint32_t mask = quiet();
        put16(body + 4, (uint16_t)(rig->next - 1u)); /* no report may slip in before it goes out as the last */
        unquiet(mask);
        body[6] = (uint8_t)((rig_answers(rig) ? BEAT_ANSWERING : 0) | (rig->leased ? BEAT_LEASED : 0) |
                            (rig->map.hold ? BEAT_HOLDING : 0) | (rig->gap ? BEAT_GAP : 0) |
                            (room(rig) ? 0 : BEAT_FULL));
        rig->gap = false;
        return finish(rig, raw, MSG_BEAT, 0, 7, coded);
    }
    if (rig->sending != rig->next) {
        if (rig->sending == (uint16_t)(rig->acked + 1u))
            rig->progress_ms = rig->now_ms;
        uint16_t at = rig->send;
        uint8_t length = rig->ring[at];
        uint8_t kind = rig->ring[(at + 1u) & (RING_SIZE - 1u)];
        for (uint8_t i = 0; i < length; i++)
            body[i] = rig->ring[(at + 2u + i) & (RING_SIZE - 1u)];
        rig->send = (uint16_t)((at + 2u + length) & (RING_SIZE - 1u));
        return finish(rig, raw, kind, rig->sending++, length, coded);
    }
    if (rig->want_stats) {
        rig->want_stats = false;
        for (unsigned i = 0; i < STATS; i++)
            put32(body + 4 * i, rig->stats[i]);
        return finish(rig, raw, MSG_STATS, 0, 4 * STATS, coded);
    }
    return 0;
}
