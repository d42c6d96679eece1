#include "map.h"

#include <string.h>

void map_reset(struct map *map) {
    memset(map, 0, sizeof *map);
    memset(map->index, NO_SLOT, sizeof map->index);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        map->pages[slot].next = NO_SLOT;
    map->banks = 1;
    map->read_limit = READ_MAX;
}

void map_place(struct map *map, uint8_t slot, uint8_t number, uint8_t bank, uint8_t flags, uint8_t next,
               uint16_t limit) {
    if (slot >= SLOTS || bank >= BANKS)
        return;
    struct page *page = &map->pages[slot];
    page->number = number;
    page->bank = bank;
    page->flags = flags;
    page->next = next < SLOTS ? next : NO_SLOT;
    page->limit = limit > WRITE_MAX ? WRITE_MAX : limit;
    if (slot == 0)
        return;
    map->index[bank][number] = slot;
    if (number == 0 && map->upper == 0)
        map->upper = slot;
    if (bank + 1u > map->banks)
        map->banks = (uint8_t)(bank + 1u);
}

/* The slot that the upper half shows; the lower memory stands in until page 00h is there. */
static inline uint8_t slot_of(const struct map *map, uint8_t address) { return address & HALF ? map->upper : 0; }

FAST static uint8_t onward(uint8_t address) { return (uint8_t)((address & HALF) | ((address + 1u) & 127u)); }

/* -- touches ------------------------------------------------------------------------------------------------ */

/* Numbers of reports run on in 16 bits and are compared by their difference. */

FAST static void touch(struct page *page, unsigned index, uint16_t report) {
    page->marks[index >> 5] |= 1u << (index & 31u);
    page->touch[index] = report;
    page->newest = report;
    page->touched = true;
}

/* Forget the marks that loads can no longer meet: those to come know of these reports. Marks are gone long before
 * numbers come round, so that one that is old never looks new. */
static void unmark(struct page *page, uint16_t seen) {
    for (unsigned word = 0; word < HALF / 32; word++)
        for (unsigned bit = 0; bit < 32 && page->marks[word] >> bit; bit++)
            if ((page->marks[word] >> bit & 1u) && !after(page->touch[32 * word + bit], seen))
                page->marks[word] &= ~(1u << bit);
    page->touched = after(page->newest, seen);
}

void map_seen(struct map *map, uint16_t seen) {
    for (unsigned slot = 0; slot < SLOTS; slot++)
        if (map->pages[slot].touched)
            unmark(&map->pages[slot], seen);
    if (map->map_touched && !after(map->map_touch, seen))
        map->map_touched = false;
    if (map->hold && !after(map->hold_report, seen))
        map->hold = false;
}

void map_load(struct map *map, uint8_t slot, uint8_t offset, const uint8_t *data, uint8_t length, uint16_t seen) {
    if (slot >= SLOTS || offset + length > HALF)
        return;
    struct page *page = &map->pages[slot];
    for (unsigned i = 0; i < length; i++) {
        unsigned index = offset + i;
        bool newer = (page->marks[index >> 5] >> (index & 31u) & 1u) && after(page->touch[index], seen);
        if (!newer)
            page->data[index] = data[i];
    }
}

void map_select(struct map *map, uint8_t slot, uint16_t seen) {
    if (slot < SLOTS && !(map->map_touched && after(map->map_touch, seen)))
        map->upper = slot;
}

/* -- page selects ------------------------------------------------------------------------------------------- */

/* Rules PAGE-02 to PAGE-06, as the module itself has them. */
FAST static void select_page(struct map *map, uint8_t number, uint8_t bank) {
    uint8_t *lower = map->pages[0].data;
    uint8_t slot = map->index[0][number];
    if (slot != NO_SLOT && (map->pages[slot].flags & PAGE_BANKED))
        slot = bank < BANKS ? map->index[bank][number] : NO_SLOT;
    else if (slot != NO_SLOT && bank >= map->banks)
        bank = 0;
    if (slot == NO_SLOT) {
        number = bank = 0;
        slot = map->index[0][0];
    }
    lower[BANK_SELECT] = bank;
    lower[PAGE_SELECT] = number;
    if (slot != NO_SLOT)
        map->upper = slot;
}

FAST static void touch_select(struct map *map, uint16_t report) {
    touch(&map->pages[0], BANK_SELECT, report);
    touch(&map->pages[0], PAGE_SELECT, report);
    map->map_touched = true;
    map->map_touch = report;
}

/* -- writes ------------------------------------------------------------------------------------------------- */

FAST void map_first(struct map *map, uint8_t value) {
    map->mode = MODE_WRITE;
    map->pointer = map->origin = value;
    map->origin_slot = slot_of(map, value);
    map->limit = map->pages[map->origin_slot].limit;
    map->length = 0;
}

FAST void map_more(struct map *map, uint8_t value) {
    if (map->mode != MODE_WRITE || map->length >= map->limit)
        return; /* I2C-06; this hardware has acknowledged it all the same */
    map->buffer[map->length++] = value;
    map->pointer = onward(map->pointer);
}

/* Report a write in pieces; the number of the last. */
FAST static uint16_t tell_write(struct map *map, enum end end) {
    uint16_t done = 0, report = 0;
    while (done < map->length) {
        uint16_t left = (uint16_t)(map->length - done);
        uint16_t size = left > PIECE_MAX ? PIECE_MAX : left;
        report = report_write(map, map->origin_slot, map->origin, map->buffer + done, size,
                              left > size ? END_MORE : end);
        done = (uint16_t)(done + size);
    }
    return report;
}

FAST static void finish_write(struct map *map, enum end end) {
    map->mode = MODE_IDLE;
    if (map->length == 0)
        return;
    uint16_t report = tell_write(map, end);
    uint8_t slot = map->origin_slot;
    unsigned start = map->origin & 127u, index = start;
    bool selected = false;
    for (unsigned i = 0; i < map->length; i++) {
        struct page *page = &map->pages[slot];
        uint8_t mask = page->write[index];
        if (slot == 0 && (index == BANK_SELECT || index == PAGE_SELECT))
            mask = 0;
        if (mask) {
            page->data[index] = (uint8_t)((page->data[index] & ~mask) | (map->buffer[i] & mask));
            touch(page, index, report);
        }
        if (page->hold[index >> 3] >> (index & 7) & 1) {
            map->hold = true;
            map->hold_report = report;
        }
        if (++index == HALF) {
            index = 0;
            if (slot && page->next != NO_SLOT) { /* CDB-13 */
                slot = page->next;
                select_page(map, map->pages[slot].number, map->pages[slot].bank);
                selected = true;
            }
        }
    }
    if (selected)
        touch_select(map, report);
    unsigned end_index = start + map->length;
    bool bank_written = start <= BANK_SELECT && BANK_SELECT < end_index;
    bool page_written = start <= PAGE_SELECT && PAGE_SELECT < end_index;
    if (map->origin_slot == 0 && !map->flat && (bank_written || page_written)) {
        uint8_t bank = bank_written ? map->buffer[BANK_SELECT - start] : map->pages[0].data[BANK_SELECT];
        if (page_written)
            select_page(map, map->buffer[PAGE_SELECT - start], bank);
        else
            map->pages[0].data[BANK_SELECT] = bank; /* PAGE-02: it waits for the page byte */
        touch_select(map, report);
    }
    map->length = 0;
}

/* -- reads -------------------------------------------------------------------------------------------------- */

/* Report what was read and not reported yet; the number of the report. */
FAST static uint16_t tell_read(struct map *map, enum end end) {
    if (map->read_count == 0)
        return 0;
    uint16_t report = report_read(map, map->read_slot, map->read_offset, map->read_count, map->clears, map->cleared,
                                  end);
    for (unsigned i = 0; i < map->cleared; i++)
        touch(&map->pages[map->read_slot], map->clears[2 * i], report);
    map->cleared = 0;
    map->read_count = 0;
    return report;
}

FAST uint8_t map_show(struct map *map) {
    if (map->mode == MODE_WRITE)
        finish_write(map, END_RESTART);
    uint8_t address = map->pointer;
    if (map->mode != MODE_READ) {
        map->mode = MODE_READ;
        map->read_count = map->read_total = 0;
        map->cleared = 0;
    }
    map->pending = true;
    if (map->read_total >= map->read_limit)
        return 0xFF; /* I2C-05 */
    return map->pages[slot_of(map, address)].data[address & 127u];
}

FAST void map_left(struct map *map) {
    if (!map->pending)
        return;
    map->pending = false;
    if (map->mode != MODE_READ || map->read_total >= map->read_limit)
        return;
    uint8_t address = map->pointer;
    unsigned index = address & 127u;
    uint8_t slot = slot_of(map, address);
    struct page *page = &map->pages[slot];
    if (map->read_count == 0) {
        map->read_slot = slot;
        map->read_offset = address;
    }
    map->read_count++;
    map->read_total++;
    uint8_t gone = page->data[index] & page->clear[index];
    if (gone) { /* FLG-04 */
        page->data[index] = (uint8_t)(page->data[index] & ~gone);
        map->clears[2 * map->cleared] = (uint8_t)index;
        map->clears[2 * map->cleared + 1] = gone;
        map->cleared++;
    }
    map->pointer = onward(address);
    if (index == 127u && slot && page->next != NO_SLOT) { /* CDB-13 */
        uint16_t report = tell_read(map, END_MORE);
        select_page(map, map->pages[page->next].number, map->pages[page->next].bank);
        touch_select(map, report);
    } else if (map->cleared == CLEARS_MAX) {
        tell_read(map, END_MORE);
    }
}

/* -- the end of a message ----------------------------------------------------------------------------------- */

FAST void map_over(struct map *map, enum end end) {
    if (map->mode == MODE_WRITE)
        finish_write(map, end);
    else if (map->mode == MODE_READ)
        tell_read(map, end);
    map->pending = false;
    map->mode = MODE_IDLE;
}

void map_abort(struct map *map) {
    if (map->mode == MODE_READ)
        tell_read(map, END_STOP);
    map->pending = false;
    map->length = 0;
    map->mode = MODE_IDLE;
}
