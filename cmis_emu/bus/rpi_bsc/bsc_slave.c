/* A CMIS module's register window behind the BSC slave of a Raspberry Pi, polled without a pause.
 *
 * The BSC slave tells of no START, STOP or address; it has two FIFOs and two busy flags. So the first byte of a write
 * is taken for the start of a random read at once: what lies there goes into the transmit FIFO before the controller
 * has sent its repeated START and address, some 10 bit times later. What a read has clocked out is known when it is
 * over: loaded, minus what is left, minus the one byte that was fetched ahead.
 *
 * Facts about the chip come from published code (pigpio, pi2cslave, Circle) and were checked on no chip: BRK does not
 * empty the transmit FIFO; each toggle of TXE drops one byte; one byte is always fetched ahead.
 */
#include "bsc_slave.h"

#include <string.h>

enum {
    TRIES = 1000,      /* to find a page at rest */
    TRUSTED_BITS = 3,  /* of quiet, once the busy flags are clear */
    UNTRUSTED_BITS = 12,
    SELECT_BANK = 126, /* BankSelect and PageSelect of the lower memory */
    SELECT_PAGE = 127
};

/* -- the emulator's side ------------------------------------------------------------------------------------ */

unsigned long bsc_shared_size(void)
{
    return sizeof(struct bsc_shared);
}

unsigned long bsc_slave_size(void)
{
    return sizeof(struct bsc_slave);
}

void bsc_describe(struct bsc_shared *shared, unsigned index, uint32_t key, unsigned banked, const uint8_t *writable,
                  const uint8_t *clears)
{
    struct bsc_page *page = &shared->page[index];

    page->key = key;
    page->banked = banked;
    memcpy(page->writable, writable, BSC_HALF);
    memcpy(page->clears, clears, BSC_HALF);
}

void bsc_publish(struct bsc_shared *shared, unsigned index, const uint8_t *data, uint32_t acknowledged)
{
    struct bsc_page *page = &shared->page[index];
    uint32_t sequence = atomic_load_explicit(&page->sequence, memory_order_relaxed);

    atomic_store_explicit(&page->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    memcpy(page->data, data, BSC_HALF);
    page->acknowledged = acknowledged;
    atomic_store_explicit(&page->sequence, sequence + 2, memory_order_release);
}

void bsc_map(struct bsc_shared *shared, unsigned index, uint32_t acknowledged, unsigned lower_limit,
             unsigned upper_limit)
{
    atomic_store(&shared->write_limit[0], lower_limit);
    atomic_store(&shared->write_limit[1], upper_limit);
    atomic_store(&shared->mapped, (uint64_t)acknowledged << 32 | index);
}

void bsc_enable(struct bsc_shared *shared, unsigned pages, unsigned enabled)
{
    shared->pages = pages;
    atomic_store(&shared->enabled, enabled);
}

void bsc_stop(struct bsc_shared *shared)
{
    atomic_store(&shared->stop, 1);
}

/* The oldest event, if there is one. */
int bsc_take(struct bsc_shared *shared, struct bsc_event *event)
{
    uint32_t tail = atomic_load_explicit(&shared->tail, memory_order_relaxed);

    if (tail == atomic_load_explicit(&shared->head, memory_order_acquire))
        return 0;
    *event = shared->events[tail % BSC_EVENTS];
    atomic_store_explicit(&shared->tail, tail + 1, memory_order_release);
    return 1;
}

void bsc_counts(struct bsc_shared *shared, uint32_t counts[4])
{
    counts[0] = atomic_load(&shared->polls);
    counts[1] = atomic_load(&shared->overruns);
    counts[2] = atomic_load(&shared->underruns);
    counts[3] = atomic_load(&shared->lost);
}

/* -- registers ---------------------------------------------------------------------------------------------- */

static uint32_t get(struct bsc_slave *slave, unsigned reg)
{
    return slave->registers.read(slave->registers.chip, reg);
}

static void put(struct bsc_slave *slave, unsigned reg, uint32_t value)
{
    slave->registers.write(slave->registers.chip, reg, value);
}

static unsigned tx_level(uint32_t flags)
{
    return flags >> FR_TXLEVEL & FR_LEVEL_MASK;
}

static void flush(struct bsc_slave *slave)
{
    uint32_t control = CR_EN | CR_I2C | CR_TXE | CR_RXE;

    for (unsigned each = 0; each <= BSC_FIFO && !(get(slave, BSC_FR) & FR_TXFE); each++) {
        put(slave, BSC_CR, control & ~(uint32_t)CR_TXE);
        put(slave, BSC_CR, control);
    }
    put(slave, BSC_CR, control & ~(uint32_t)CR_TXE); /* once more, for the byte that was fetched ahead */
    put(slave, BSC_CR, control);
    slave->loaded = slave->consumed = 0;
}

/* -- pages -------------------------------------------------------------------------------------------------- */

/* A whole half as the bus shall see it: no value of several bytes is torn, whoever publishes meanwhile. */
static void look(struct bsc_slave *slave, unsigned index, uint8_t *half)
{
    struct bsc_page *page = &slave->shared->page[index];
    uint32_t acknowledged = 0;
    bool whole = false;

    for (unsigned each = 0; each < TRIES && !whole; each++) {
        uint32_t before = atomic_load_explicit(&page->sequence, memory_order_acquire);

        if (before & 1)
            continue;
        memcpy(half, page->data, BSC_HALF);
        acknowledged = page->acknowledged;
        atomic_thread_fence(memory_order_acquire);
        whole = before == atomic_load_explicit(&page->sequence, memory_order_relaxed);
    }
    if (whole)
        memcpy(slave->last[index], half, BSC_HALF);
    else
        memcpy(half, slave->last[index], BSC_HALF);
    for (unsigned at = 0; at < BSC_HALF; at++) {
        uint32_t number = slave->top_number[index][at];

        if (!number)
            continue;
        if (whole && (int32_t)(number - acknowledged) <= 0)
            slave->top_number[index][at] = 0;
        else
            half[at] = slave->top[index][at];
    }
}

static void lay(struct bsc_slave *slave, unsigned index, unsigned at, uint8_t value)
{
    slave->top[index][at] = value;
    slave->top_number[index][at] = slave->number;
}

static unsigned index_of(const struct bsc_slave *slave, uint8_t address)
{
    return address < BSC_HALF ? 0 : slave->mapped;
}

static uint8_t on(uint8_t address, unsigned count)
{
    return (uint8_t)((address & BSC_HALF) | ((address + count) & (BSC_HALF - 1)));
}

/* Fill the transmit FIFO from where it ends. */
static void top_up(struct bsc_slave *slave)
{
    for (unsigned room = BSC_FIFO + 1; room && !(get(slave, BSC_FR) & FR_TXFF); room--) {
        uint8_t at = on(slave->pointer, slave->loaded);

        if ((at & (BSC_HALF - 1)) == 0 && slave->loaded)
            look(slave, index_of(slave, at), slave->half); /* it comes round: as it is by now */
        slave->sent[slave->loaded++ % BSC_DATA] = slave->half[at & (BSC_HALF - 1)];
        put(slave, BSC_DR, slave->sent[(slave->loaded - 1) % BSC_DATA]);
    }
}

/* What the FIFO holds is of no use any more: what a read at the pointer would show comes in its place. */
static void reload(struct bsc_slave *slave)
{
    flush(slave);
    look(slave, index_of(slave, slave->pointer), slave->half);
    top_up(slave);
}

/* -- what the bus did ---------------------------------------------------------------------------------------- */

static void tell(struct bsc_slave *slave, enum bsc_kind kind, uint8_t address, const uint8_t *data, unsigned length)
{
    struct bsc_shared *shared = slave->shared;
    uint32_t head = atomic_load_explicit(&shared->head, memory_order_relaxed);
    struct bsc_event *event = &shared->events[head % BSC_EVENTS];

    slave->number++;
    if (head - atomic_load_explicit(&shared->tail, memory_order_acquire) >= BSC_EVENTS) {
        atomic_fetch_add(&shared->lost, 1);
        return;
    }
    event->number = slave->number;
    event->kind = (uint16_t)kind;
    event->length = (uint16_t)length;
    event->key = shared->page[slave->mapped].key;
    event->address = address;
    memcpy(event->data, data, length);
    atomic_store_explicit(&shared->head, head + 1, memory_order_release);
}

static int find(const struct bsc_shared *shared, unsigned page, unsigned bank)
{
    for (unsigned each = 1; each < shared->pages; each++)
        if (shared->page[each].key == (bank << 8 | page))
            return (int)each;
    return -1;
}

/* PAGE-02 to PAGE-04: a bank change waits for the page byte, and what does not exist maps page 00h. */
static void select_page(struct bsc_slave *slave, unsigned bank, unsigned page)
{
    struct bsc_shared *shared = slave->shared;
    unsigned banks = 1;
    int found = find(shared, page, 0);

    for (unsigned each = 1; each < shared->pages; each++)
        if ((shared->page[each].key >> 8) + 1 > banks)
            banks = (shared->page[each].key >> 8) + 1;
    if (found >= 0 && shared->page[found].banked)
        found = find(shared, page, bank);
    else if (bank >= banks)
        bank = 0;
    if (found < 0) {
        page = bank = 0;
        found = find(shared, 0, 0);
    }
    slave->mapped = found < 0 ? 0 : (unsigned)found;
    lay(slave, 0, SELECT_BANK, (uint8_t)bank);
    lay(slave, 0, SELECT_PAGE, (uint8_t)page);
}

static void apply(struct bsc_slave *slave, uint8_t address, const uint8_t *data, unsigned length)
{
    unsigned index = index_of(slave, address);
    const struct bsc_page *page = &slave->shared->page[index];
    uint8_t half[BSC_HALF];
    bool selected = false;

    look(slave, index, half);
    for (unsigned each = 0; each < length; each++) {
        unsigned at = on(address, each) & (BSC_HALF - 1);
        uint8_t mask = page->writable[at];

        if (index == 0 && (at == SELECT_BANK || at == SELECT_PAGE)) {
            half[at] = data[each];
            selected |= at == SELECT_PAGE;
            lay(slave, 0, at, data[each]);
        } else if (mask) {
            half[at] = (uint8_t)((half[at] & ~mask) | (data[each] & mask));
            lay(slave, index, at, half[at]);
        }
    }
    if (selected)
        select_page(slave, half[SELECT_BANK], half[SELECT_PAGE]);
}

static void end_of_write(struct bsc_slave *slave)
{
    uint8_t address = slave->received[0];
    unsigned limit = atomic_load(&slave->shared->write_limit[address / BSC_HALF]);
    unsigned length = slave->count - 1;

    slave->state = BSC_IDLE;
    slave->count = 0;
    if (length > limit)
        length = limit; /* what was too much is acknowledged all the same, and dropped */
    tell(slave, BSC_WRITE, address, slave->received + 1, length);
    if (!length)
        return; /* the FIFO has what lies there already */
    apply(slave, address, slave->received + 1, length);
    slave->pointer = on(address, length);
    reload(slave);
}

/* The bytes that were clocked out count now: pointer, clear-on-read. */
static void end_of_read(struct bsc_slave *slave)
{
    unsigned index = index_of(slave, slave->pointer);
    const struct bsc_page *page = &slave->shared->page[index];
    unsigned count = slave->consumed;
    unsigned skipped = count > BSC_DATA - BSC_HALF ? count - (BSC_DATA - BSC_HALF) : 0;
    uint8_t half[BSC_HALF], gone[BSC_DATA] = {0};

    slave->state = BSC_IDLE;
    slave->consumed = 0;
    if (!count)
        return;
    for (unsigned each = skipped; each < count; each++)
        gone[each - skipped] = slave->sent[each % BSC_DATA]; /* of a read that comes round, the last bytes */
    tell(slave, BSC_READ, on(slave->pointer, skipped), gone, count - skipped);
    look(slave, index, half);
    for (unsigned each = skipped; each < count; each++) {
        unsigned at = on(slave->pointer, each) & (BSC_HALF - 1);
        uint8_t cleared = gone[each - skipped] & page->clears[at] & half[at];

        if (cleared) {
            half[at] &= (uint8_t)~cleared;
            lay(slave, index, at, half[at]);
        }
    }
    slave->pointer = on(slave->pointer, count);
    reload(slave);
}

static void received(struct bsc_slave *slave, uint8_t value)
{
    if (slave->state == BSC_READING)
        end_of_read(slave);
    if (slave->state == BSC_IDLE) {
        slave->state = BSC_WRITING;
        slave->pointer = value;
        slave->count = 0;
        reload(slave); /* in case it is a random read */
    }
    if (slave->count < BSC_DATA)
        slave->received[slave->count++] = value;
}

static void adopt(struct bsc_slave *slave)
{
    uint64_t told = atomic_load(&slave->shared->mapped);

    if ((uint32_t)(told >> 32) == slave->number && (uint32_t)told != slave->mapped) {
        slave->mapped = (uint32_t)told;
        reload(slave);
    }
}

/* -- polling ------------------------------------------------------------------------------------------------- */

void bsc_begin(struct bsc_slave *slave, struct bsc_shared *shared, const struct bsc_registers *registers,
               unsigned address, unsigned hz, int trust_busy)
{
    memset(slave, 0, sizeof *slave);
    slave->shared = shared;
    slave->registers = *registers;
    slave->trust_busy = trust_busy;
    slave->quiet_ns = (uint64_t)(trust_busy ? TRUSTED_BITS : UNTRUSTED_BITS) * 1000000000u / hz;
    slave->mapped = (uint32_t)atomic_load(&shared->mapped);
    put(slave, BSC_CR, CR_BRK);
    put(slave, BSC_RSR, 0);
    put(slave, BSC_IMSC, 0xf);
    put(slave, BSC_ICR, 0xf);
    put(slave, BSC_SLV, address);
    put(slave, BSC_CR, 0);
}

static void enable(struct bsc_slave *slave, bool enabled)
{
    slave->enabled = enabled;
    slave->state = BSC_IDLE;
    slave->count = 0;
    if (enabled) {
        slave->pointer = 0; /* I2C-03 */
        put(slave, BSC_CR, CR_EN | CR_I2C | CR_TXE | CR_RXE);
        for (unsigned each = 0; each < BSC_FIFO && !(get(slave, BSC_FR) & FR_RXFE); each++)
            (void)get(slave, BSC_DR); /* of before */
        reload(slave);
    } else {
        put(slave, BSC_CR, 0);
    }
}

/* One look at the chip. It never waits. */
void bsc_poll(struct bsc_slave *slave, uint64_t now_ns)
{
    struct bsc_shared *shared = slave->shared;
    uint32_t flags, errors;
    bool wanted = atomic_load_explicit(&shared->enabled, memory_order_acquire);
    bool busy;

    atomic_store_explicit(&shared->polls, atomic_load_explicit(&shared->polls, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    if (wanted != slave->enabled && slave->state == BSC_IDLE)
        enable(slave, wanted);
    if (!slave->enabled)
        return;

    flags = get(slave, BSC_FR);
    for (unsigned each = 0; each < 2 * BSC_FIFO && !(flags & FR_RXFE); each++) {
        unsigned level = tx_level(flags);

        if (slave->state != BSC_WRITING && slave->loaded > level + 1) {
            slave->consumed = slave->loaded - level - 1; /* a read has ended since the last look */
            slave->state = BSC_READING;
        }
        received(slave, (uint8_t)get(slave, BSC_DR));
        slave->moved_ns = now_ns;
        flags = get(slave, BSC_FR);
    }

    if (slave->loaded > tx_level(flags) + 1 + slave->consumed) {
        if (slave->state == BSC_WRITING)
            end_of_write(slave);
        slave->state = BSC_READING;
        slave->consumed = slave->loaded - tx_level(flags) - 1;
        slave->moved_ns = now_ns;
        top_up(slave);
    }

    errors = get(slave, BSC_RSR);
    if (errors & (RSR_OE | RSR_UE)) {
        atomic_fetch_add(&shared->overruns, errors & RSR_OE ? 1u : 0u);
        atomic_fetch_add(&shared->underruns, errors & RSR_UE ? 1u : 0u);
        put(slave, BSC_RSR, 0);
    }

    busy = slave->trust_busy && (flags & (FR_RXBUSY | FR_TXBUSY));
    if (slave->state == BSC_IDLE || busy) {
        if (slave->state == BSC_IDLE && !busy)
            adopt(slave);
        else if (busy)
            slave->moved_ns = now_ns;
    } else if (now_ns - slave->moved_ns >= slave->quiet_ns) {
        if (slave->state == BSC_WRITING)
            end_of_write(slave);
        else
            end_of_read(slave);
    }
}

void bsc_end(struct bsc_slave *slave)
{
    put(slave, BSC_CR, 0);
}
